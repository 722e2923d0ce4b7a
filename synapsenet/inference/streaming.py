"""A stream of items, each answered by itself: bounded in flight, in order or as they are done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

S = TypeVar("S")
R = TypeVar("R")


async def answer_each(
    items: AsyncIterator[S], answer: Callable[[S], Awaitable[R]], *, unanswered: int, ordered: bool
) -> AsyncIterator[R]:
    """The answers to `items`: those of all that were read, also after `items` has ended.

    At most `unanswered` items are read and not yet answered; the next is read when an answer was taken, so a slow taker bounds
    the memory. Without `ordered` answers come as they are done. Whoever stops iterating cancels what is under way. An error of
    `items` or of `answer` ends the iteration.
    """
    room = asyncio.Semaphore(unanswered)
    ready: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()  # holds `unanswered` answers and the reader's end at most
    under_way: set[asyncio.Task[R]] = set()

    async def read() -> None:
        await room.acquire()
        async for item in items:
            task = asyncio.ensure_future(answer(item))
            under_way.add(task)
            if ordered:
                ready.put_nowait(task)
            else:
                task.add_done_callback(ready.put_nowait)
            await room.acquire()

    reader = asyncio.create_task(read())
    reader.add_done_callback(ready.put_nowait)
    try:
        while under_way or not reader.done():
            task = await ready.get()
            result = await task
            if task is reader:
                continue
            yield result
            under_way.discard(task)
            room.release()
        reader.result()  # it may have failed while the last answer was taken
    finally:
        for task in (reader, *under_way):
            task.cancel()
        await asyncio.gather(reader, *under_way, return_exceptions=True)
