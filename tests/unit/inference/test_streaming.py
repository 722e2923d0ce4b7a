"""Streams of items: their order, their bound, their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from synapsenet.inference.streaming import answer_each


class Source:
    """Gives whole numbers from 0 and counts how many were read."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[int]:
        for number in range(self.count):
            self.read += 1
            yield number


def finishing(order: list[int]) -> tuple[Callable[[int], Awaitable[int]], Callable[[], Coroutine[Any, Any, None]]]:
    """An answer whose items finish in `order`, and what makes them do so."""
    gates = {number: asyncio.Event() for number in order}

    async def answer(number: int) -> int:
        await gates[number].wait()
        return number

    async def finish() -> None:
        for number in order:
            gates[number].set()
            for _ in range(5):
                await asyncio.sleep(0)

    return answer, finish


@pytest.mark.parametrize(("ordered", "expected"), [(False, [2, 0, 3, 1]), (True, [0, 1, 2, 3])])
async def test_answers_come_as_they_are_done_or_in_order_if_that_is_asked_for(ordered: bool, expected: list[int]) -> None:
    answer, finish = finishing([2, 0, 3, 1])
    finishes = asyncio.create_task(finish())
    answers = [number async for number in answer_each(aiter(Source(4)), answer, unanswered=4, ordered=ordered)]
    await finishes
    assert answers == expected


async def test_no_more_items_are_read_than_may_be_unanswered() -> None:
    source = Source(10)

    async def answer(number: int) -> int:
        return number

    answers = answer_each(aiter(source), answer, unanswered=3, ordered=False)
    assert await anext(answers) == 0
    for _ in range(20):
        await asyncio.sleep(0)
    assert source.read == 3
    assert [number async for number in answers] == list(range(1, 10))
    assert source.read == 10


async def test_an_empty_stream_ends() -> None:
    async def answer(number: int) -> int:
        return number

    assert [number async for number in answer_each(aiter(Source(0)), answer, unanswered=1, ordered=False)] == []


async def test_a_taker_that_leaves_cancels_what_is_under_way() -> None:
    cancelled: list[int] = []

    async def answer(number: int) -> int:
        if number == 0:
            return number
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    answers = answer_each(aiter(Source(3)), answer, unanswered=3, ordered=False)
    assert await anext(answers) == 0
    await asyncio.sleep(0)
    await answers.aclose()  # type: ignore[attr-defined]  # it is an async generator
    assert sorted(cancelled) == [1, 2]


async def test_an_error_of_the_source_ends_the_stream() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        raise KeyError("the caller sent nonsense")

    async def answer(number: int) -> int:
        return number

    with pytest.raises(KeyError):
        _ = [number async for number in answer_each(source(), answer, unanswered=2, ordered=False)]


async def test_an_error_of_the_source_is_heard_also_if_it_comes_while_the_last_answer_is_taken() -> None:
    taken = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        await taken.wait()
        raise KeyError("the caller sent nonsense")

    async def answer(number: int) -> int:
        return number

    answers = answer_each(source(), answer, unanswered=2, ordered=False)
    assert await anext(answers) == 1
    taken.set()
    for _ in range(5):
        await asyncio.sleep(0)
    with pytest.raises(KeyError):
        await anext(answers)
