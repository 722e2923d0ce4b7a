"""Operations that ended long ago are forgotten, a few at a time; what they did stays in the history."""

from __future__ import annotations

from datetime import timedelta

from synapsenet.clock import Clock
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.lifecycle.ports import LifecycleWork
from synapsenet.platform.work import WorkFactory

AT_ONCE = 500
"""One commit forgets no more, so that it keeps nobody waiting for long."""

_PAUSE_S = 3_600.0


class Forgetting:
    """Looks once an hour, and at every call for as long as a look finds more than one commit may forget.

    Args:
        repeated_for: how long a caller may repeat the wish that began an operation and is shown that operation: it is kept so
            long at least.
    """

    def __init__(
        self,
        *,
        work: WorkFactory[LifecycleWork],
        clock: Clock,
        options: LifecycleOptions,
        repeated_for: timedelta = timedelta(),
    ) -> None:
        self._work = work
        self._clock = clock
        self._age = max(options.operations_age, repeated_for)
        self._next_look = clock.monotonic()

    async def forget(self) -> None:
        """If it is time to look, forget up to `AT_ONCE` operations that ended before the age that they are kept for."""
        if self._clock.monotonic() < self._next_look:
            return
        before = self._clock.now() - self._age
        forgotten = await self._work.run(lambda tx: tx.operations.trim(ended_before=before, limit=AT_ONCE))
        self._next_look = self._clock.monotonic() + (0.0 if forgotten == AT_ONCE else _PAUSE_S)
