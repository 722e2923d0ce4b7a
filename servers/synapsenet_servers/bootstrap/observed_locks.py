"""Locks that tell how many are held and waited for, and for how long."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from synapsenet.platform.locks import Held, Locks
from synapsenet_servers import telemetry
from synapsenet_servers.telemetry.instruments import LOCKS_HELD, LOCKS_WAITING, Gauge, Read


@contextmanager
def observed_locks(locks: Locks) -> Iterator[Locks]:
    """What stands for `locks` inside a `with`: themselves, unless this process tells of anything."""
    told = telemetry.current()
    if told.gauges is None:
        yield locks
        return
    observed = ObservedLocks(locks)
    with told.observing_all(observed.gauges()):
        yield observed


class ObservedLocks(Locks):
    """Stands for `locks`.

    Attributes:
        held: how many this process holds.
        waiting: how many tasks of this process wait.
    """

    def __init__(self, locks: Locks) -> None:
        self.held = 0
        self.waiting = 0
        self._locks = locks

    def hold(self, name: str, *, holder: str, ttl: float, wait: float) -> AbstractAsyncContextManager[Held]:
        return self._counted(self._locks.hold(name, holder=holder, ttl=ttl, wait=wait))

    def gauges(self) -> Iterable[tuple[Gauge, Read]]:
        return ((LOCKS_HELD, lambda: [(self.held, {})]), (LOCKS_WAITING, lambda: [(self.waiting, {})]))

    @asynccontextmanager
    async def _counted(self, holding: AbstractAsyncContextManager[Held]) -> AsyncIterator[Held]:
        waits = True
        self.waiting += 1
        try:
            async with holding as held:
                self.waiting, waits = self.waiting - 1, False
                self.held += 1
                try:
                    yield held
                finally:
                    self.held -= 1
        finally:
            self.waiting -= waits
