"""The batcher, on a clock that the test moves and an executor that it holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import numpy as np
import pytest

from synapsenet.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from synapsenet.inference.batching import Answer, Batcher
from synapsenet.inference.model import BatchingPolicy
from synapsenet.inference.tensors import Inputs
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.inference import Doubling, Inline

LINGER = 0.002


class Bench:
    """A batcher with its surroundings."""

    def __init__(self, **policy: int) -> None:
        self.clock = FakeClock()
        self.executor = Inline()
        self.model = Doubling()
        settings = {"max_batch_size": 8, "max_queued_rows": 100, "max_queued_bytes": 1_000, "max_running_batches": 1}
        self.batcher = Batcher(
            executable=self.model,
            executor=self.executor,
            policy=BatchingPolicy(max_linger=timedelta(seconds=LINGER), **(settings | policy)),
            clock=self.clock,
        )

    def ask(self, *numbers: float, width: int = 1, timeout: float | None = None) -> asyncio.Task[Answer]:
        array = np.array(numbers, np.float32).reshape(-1, 1).repeat(width, axis=1)
        inputs = Inputs(arrays=(array,), rows=len(array), size=array.nbytes, kind=(array.shape[1:],))
        return asyncio.create_task(self.batcher.answer(inputs, timeout=timeout))

    async def lingered(self) -> None:
        await self.clock.advance(LINGER)

    def empty(self) -> bool:
        return self.batcher.queued_rows == self.batcher.queued_bytes == self.batcher.running == 0


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.batcher.close()


def numbers(task: asyncio.Task[Answer]) -> list[float]:
    return [float(number) for number in task.result().outputs[0][:, 0]]


async def test_a_lone_request_leaves_after_the_linger_and_not_before(bench: Bench) -> None:
    asked = bench.ask(1)
    await bench.clock.advance(LINGER * 0.9)
    assert not asked.done()
    await bench.clock.advance(LINGER * 0.2)
    assert numbers(asked) == [2]
    assert asked.result().queue_s == pytest.approx(LINGER)


async def test_requests_that_come_together_share_a_batch_and_get_their_own_rows_back(bench: Bench) -> None:
    asked = [bench.ask(1, 2), bench.ask(3), bench.ask(4, 5)]
    await bench.lingered()
    assert [numbers(task) for task in asked] == [[2, 4], [6], [8, 10]]
    assert bench.model.batches == [5]
    assert asked[0].result().batch_rows == 5


async def test_a_full_batch_leaves_at_once_and_a_request_that_does_not_fit_waits_for_the_next(bench: Bench) -> None:
    asked = [bench.ask(*range(5)), bench.ask(*range(3)), bench.ask(1)]
    await bench.clock.advance(0)
    assert [task.done() for task in asked] == [True, True, False]
    await bench.lingered()
    assert bench.model.batches == [8, 1]


async def test_a_request_larger_than_a_batch_runs_by_itself(bench: Bench) -> None:
    asked = bench.ask(*range(20))
    await bench.clock.advance(0)
    assert numbers(asked) == [2 * number for number in range(20)]
    assert bench.model.batches == [20]


async def test_requests_of_other_shapes_never_share_a_batch(bench: Bench) -> None:
    narrow, wide = bench.ask(1), bench.ask(2, width=3)
    await bench.lingered()
    assert bench.model.batches == [1, 1]
    assert numbers(narrow) == [2]
    assert wide.result().outputs[0].shape == (1, 3)


async def test_while_the_model_is_busy_requests_gather_and_leave_as_soon_as_it_is_free(bench: Bench) -> None:
    bench.executor.hold()
    first = bench.ask(1)
    await bench.lingered()
    later = [bench.ask(2), bench.ask(3)]
    await bench.clock.advance(10 * LINGER)
    assert bench.batcher.running == 1
    bench.executor.release()
    await bench.clock.advance(0)
    assert [numbers(task) for task in (first, *later)] == [[2], [4], [6]]
    assert bench.model.batches == [1, 2]


async def test_the_queue_is_bounded_by_rows_and_a_refusal_says_when_to_come_back(bench: Bench) -> None:
    bench.executor.hold()
    running = bench.ask(0)
    await bench.lingered()
    waiting = [bench.ask(*range(50), timeout=1) for _ in range(2)]
    await bench.clock.advance(0)
    refused = bench.ask(1)
    await bench.clock.advance(0)
    with pytest.raises(ResourceExhausted, match="100 rows") as refusal:
        refused.result()
    assert refusal.value.retry_after is not None
    assert refusal.value.retry_after > 0
    assert bench.batcher.totals.rejected == 1
    bench.executor.release()
    await bench.clock.advance(1)
    assert all(task.done() and not task.exception() for task in (running, *waiting))


async def test_the_queue_is_bounded_by_bytes() -> None:
    bench = Bench(max_queued_bytes=16)
    bench.executor.hold()
    bench.ask(0)
    await bench.lingered()
    waiting, refused = bench.ask(1, 2, 3), bench.ask(4, 5)
    await bench.clock.advance(0)
    assert isinstance(refused.exception(), ResourceExhausted)
    assert not waiting.done()
    bench.executor.release()
    await bench.batcher.drain()
    await bench.batcher.close()


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_request_given_up_in_the_queue_leaves_it_and_its_neighbours_are_answered(bench: Bench, place: int) -> None:
    asked = [bench.ask(1), bench.ask(2), bench.ask(3)]
    await asyncio.sleep(0)
    asked[place].cancel()
    await bench.lingered()
    assert bench.model.batches == [2]
    assert [numbers(task) for index, task in enumerate(asked) if index != place] == [
        [2 * (index + 1)] for index in range(3) if index != place
    ]
    assert bench.empty()
    assert bench.batcher.totals.cancelled == 1


async def test_a_request_given_up_while_it_runs_takes_nobody_with_it(bench: Bench) -> None:
    bench.executor.hold()
    asked = [bench.ask(1), bench.ask(2)]
    await bench.lingered()
    asked[0].cancel()
    await bench.clock.advance(0)
    bench.executor.release()
    await bench.clock.advance(0)
    assert asked[0].cancelled()
    assert numbers(asked[1]) == [4]
    assert bench.empty()


async def test_a_request_expires_in_the_queue_while_the_model_is_blocked_and_never_reaches_it(bench: Bench) -> None:
    bench.executor.hold()
    running = bench.ask(1)
    await bench.lingered()
    expiring, patient = bench.ask(2, timeout=0.5), bench.ask(3, timeout=5)
    await bench.clock.advance(0.501)
    with pytest.raises(DeadlineExceeded):
        expiring.result()
    assert not patient.done()
    bench.executor.release()
    await bench.clock.advance(0)
    assert numbers(running) == [2]
    assert numbers(patient) == [6]
    assert bench.model.batches == [1, 1]
    assert bench.batcher.totals.expired == 1


async def test_a_request_without_time_left_is_refused_at_once(bench: Bench) -> None:
    asked = bench.ask(1, timeout=0)
    await bench.clock.advance(0)
    assert isinstance(asked.exception(), DeadlineExceeded)
    assert bench.empty()
    assert bench.model.batches == []


async def test_a_request_that_makes_its_batch_fail_fails_alone(bench: Bench) -> None:
    asked = [bench.ask(1), bench.ask(-2), bench.ask(3)]
    await bench.lingered()
    assert numbers(asked[0]) == [2]
    assert isinstance(asked[1].exception(), InvalidArgument)
    assert numbers(asked[2]) == [6]
    assert (bench.batcher.totals.succeeded, bench.batcher.totals.failed) == (2, 1)
    assert bench.empty()


async def test_a_model_whose_outputs_have_other_rows_is_run_request_by_request_from_then_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.model, "compute", lambda inputs: [inputs[0].sum(axis=0, keepdims=True)])
    for _ in range(2):
        asked = [bench.ask(1, 2), bench.ask(3, 4)]
        await bench.lingered()
        assert [numbers(task) for task in asked] == [[3], [7]]
    assert bench.batcher.target == 1


async def test_draining_answers_what_was_accepted_and_takes_nothing_more(bench: Bench) -> None:
    bench.executor.hold()
    accepted = [bench.ask(1), bench.ask(2)]
    await asyncio.sleep(0)
    draining = asyncio.create_task(bench.batcher.drain())
    await bench.clock.advance(0)
    late = bench.ask(3)
    await bench.clock.advance(0)
    assert isinstance(late.exception(), FailedPrecondition)
    assert not draining.done()
    bench.executor.release()
    await bench.clock.advance(0)
    assert draining.done()
    assert [numbers(task) for task in accepted] == [[2], [4]]


async def test_closing_answers_whoever_is_left_with_a_retryable_error(bench: Bench) -> None:
    bench.executor.hold()
    running = bench.ask(1)
    await bench.lingered()
    waiting = bench.ask(2)
    await asyncio.sleep(0)
    await bench.batcher.close()
    await asyncio.sleep(0)
    assert isinstance(running.exception(), Unavailable)
    assert isinstance(waiting.exception(), Unavailable)
    assert bench.batcher.queued_rows == 0


async def test_closing_answers_a_request_whose_batch_was_about_to_begin() -> None:
    bench = Bench(max_batch_size=1)
    asked = bench.ask(1.0)
    await asyncio.sleep(0)  # the request is in a batch whose task has not run yet
    await bench.batcher.close()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(asked, 1)
