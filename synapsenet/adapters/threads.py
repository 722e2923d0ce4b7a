"""Blocking work on a bounded number of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from synapsenet.inference.ports import Executor

T = TypeVar("T")


class ThreadExecutor(Executor):
    """Runs work on the threads of a pool."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


@contextmanager
def open_threads(count: int, *, name: str) -> Iterator[ThreadExecutor]:
    """`count` threads called `name`; at the end, work that has begun ends and the rest is dropped."""
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    try:
        yield ThreadExecutor(pool)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
