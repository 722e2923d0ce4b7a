"""Clocks that tests move by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from abc import abstractmethod
from datetime import UTC, datetime, timedelta

from synapsenet.clock import Clock, SystemClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class MovedClock(Clock):
    """A clock whose passing is the test's to say."""

    @abstractmethod
    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: wall and monotonic time, waking sleepers at their own instants."""

    @abstractmethod
    def jump(self, seconds: float) -> None:
        """Let `seconds` pass in which nobody ran, as after SIGSTOP and SIGCONT: sleepers wake late."""


class RealClock(SystemClock, MovedClock):
    """The machine's clocks, for stores that keep their own time: what a fake one says at once takes as long as it says."""

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def jump(self, seconds: float) -> None:
        time.sleep(seconds)  # on the event loop's own thread: nobody runs


class FakeClock(MovedClock):
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
        end = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._elapsed, _, woken = heapq.heappop(self._sleepers)
            woken.set()
            await _settle()
        self._elapsed = end
        await _settle()

    async def pass_until_next(self) -> None:
        """Let exactly as much time pass as it takes the next sleeper to wake; none if nobody sleeps."""
        await _settle()
        if self._sleepers:
            await self.advance(self._sleepers[0][0] - self._elapsed)

    def jump(self, seconds: float) -> None:
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
