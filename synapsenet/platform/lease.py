"""A lease kept alive in the background, which knows before its grantor does that it may have run out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, SynapseError

_RENEWALS_PER_TTL = 3


class Lease:
    """Valid until `ttl` seconds of local monotonic time after the last renewal was *sent*.

    Counting from the sending makes the local deadline earlier than the grantor's, so a holder that was paused or cut off
    stops before another may begin.
    """

    def __init__(self, name: str, *, clock: Clock, ttl: float, granted_at: float) -> None:
        self.name = name
        self._clock = clock
        self._ttl = ttl
        self._deadline = granted_at + ttl
        self._lost = asyncio.Event()

    def check(self) -> None:
        """Pass while the lease surely holds.

        Raises:
            Aborted: LOCK_LOST.
        """
        if self._lost.is_set() or self._clock.monotonic() >= self._deadline:
            self._lost.set()
            raise Aborted("LOCK_LOST", f"the lease on {self.name} ran out", remedy="give up what it protected and start again")

    async def lost(self) -> None:
        """Return when the lease is lost; never before."""
        await self._lost.wait()

    async def keep(self, renew: Callable[[], Awaitable[bool]]) -> None:
        """Renew three times a `ttl` until cancelled or lost; `renew` says whether the grantor still knows the lease."""
        while not self._lost.is_set():
            await self._clock.sleep(self._ttl / _RENEWALS_PER_TTL)
            sent_at = self._clock.monotonic()
            if sent_at >= self._deadline:
                self._lost.set()
                return
            try:
                known = await renew()
            except SynapseError:
                continue  # a grantor that does not answer costs nothing until the deadline
            if known:
                self._deadline = sent_at + self._ttl
            else:
                self._lost.set()


@asynccontextmanager
async def kept(lease: Lease, renew: Callable[[], Awaitable[bool]]) -> AsyncIterator[Lease]:
    """Renew `lease` in the background inside an `async with`."""
    keeper = asyncio.create_task(lease.keep(renew), name=f"keepalive {lease.name}")
    try:
        yield lease
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
