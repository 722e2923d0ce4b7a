"""The clock of a recording: it stands still within a step, whatever happens in it and however long that takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from synapsenet.clock import Clock
from synapsenet.testing.clock import NOON

_SHORT_S = 0.1
_LONGEST_STEP_S = 0.9


class StepClock(Clock):
    """Wall time moves by a second a step, and only then; so answers do not tell how often anybody slept meanwhile.

    Whoever sleeps up to a tenth of a second, to let others come or to wait for more news, wakes when it is over, and the
    monotonic time is that instant then; unless the clock is held. Longer sleeps are for limits and retries: they do not end.
    """

    def __init__(self) -> None:
        self._step = 0
        self._monotonic = 0.0
        self._running = asyncio.Event()
        self._running.set()

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._step)

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds > _SHORT_S:
            await asyncio.Event().wait()
        instant = self._monotonic + seconds
        await asyncio.sleep(seconds)
        await self._running.wait()
        self._monotonic = max(self._monotonic, instant)  # whoever wakes in a later step changes nothing

    def begin(self, step: int) -> None:
        """Let the step of that number begin, at a whole second."""
        spent = self._monotonic - self._step
        assert spent <= _LONGEST_STEP_S, f"step {self._step} slept for {spent:g} s: something sleeps again and again"
        self._step = step
        self._monotonic = float(step)

    def hold(self) -> None:
        """Let nobody wake."""
        self._running.clear()

    def release(self) -> None:
        self._running.set()

    @contextmanager
    def held(self, hold: bool = True) -> Iterator[None]:
        """Let nobody wake inside the `with`, if `hold`."""
        if hold:
            self.hold()
        try:
            yield
        finally:
            if hold:
                self.release()
