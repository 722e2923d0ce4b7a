"""Time, as a port: everything that reads a clock or waits takes one of these; and instants as whole microseconds."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(ABC):
    """Wall time for what people read, monotonic time for durations and deadlines."""

    @abstractmethod
    def now(self) -> datetime:
        """The wall time, timezone-aware, in UTC. It may step."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds since an arbitrary start; it never goes back."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of monotonic time pass."""


class SystemClock(Clock):
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def micros(instant: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z; exact, unlike `timestamp()`, which is a float."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(micros: int) -> datetime:
    """The inverse of `micros`. Raises: OverflowError: outside the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=micros)
