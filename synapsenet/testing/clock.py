"""A clock that tests move by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

from synapsenet.clock import Clock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeClock(Clock):
    """Stands still until `advance`; whoever sleeps on it wakes in the order of their deadlines."""

    def __init__(self, start: datetime = NOON) -> None:
        self._start = start
        self._elapsed = 0.0
        self._step = timedelta()
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed) + self._step

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: wall and monotonic time, waking sleepers at their own instants."""
        end = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._elapsed, _, woken = heapq.heappop(self._sleepers)
            woken.set()
            await _settle()
        self._elapsed = end
        await _settle()

    def jump(self, seconds: float) -> None:
        """Let `seconds` pass in which nobody ran, as after SIGSTOP and SIGCONT: sleepers wake late."""
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            heapq.heappop(self._sleepers)[2].set()

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock alone, as an operator or NTP may do."""
        self._step += timedelta(seconds=seconds)


async def _settle() -> None:
    """Let every task that can run do so before time moves on."""
    for _ in range(20):
        await asyncio.sleep(0)
