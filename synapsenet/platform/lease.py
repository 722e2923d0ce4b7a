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
        self._sent_at = granted_at
        self._deadline = granted_at + ttl
        self._lost = asyncio.Event()

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set() or self._clock.monotonic() >= self._deadline

    def check(self) -> None:
        """Pass while the lease surely holds.

        Raises:
            Aborted: LOCK_LOST.
        """
        if self.is_lost:
            self._lost.set()
            raise Aborted("LOCK_LOST", f"the lease on {self.name} ran out", remedy="give up what it protected and start again")

    async def lost(self) -> None:
        """Return when the lease is lost; never before."""
        await self._lost.wait()

    async def keep(self, renew: Callable[[], Awaitable[bool]]) -> None:
        """Renew three times a `ttl` until cancelled or lost; `renew` says whether the grantor still knows the lease.

        A renewal that does not end is left at the deadline: whoever holds something under the lease is told in time.
        """
        while not self._lost.is_set():
            await self._clock.sleep(self._sent_at + self._ttl / _RENEWALS_PER_TTL - self._clock.monotonic())
            self._sent_at = self._clock.monotonic()
            if self._sent_at >= self._deadline:
                self._lost.set()
                return
            try:
                known = await self._before_deadline(renew)
            except SynapseError:
                continue  # a grantor that does not answer costs nothing until the deadline
            if known:
                self._deadline = self._sent_at + self._ttl
            else:
                self._lost.set()

    async def _before_deadline(self, renew: Callable[[], Awaitable[bool]]) -> bool:
        """What `renew` says, or that the lease is lost."""
        asked = asyncio.ensure_future(renew())
        ended = asyncio.ensure_future(self._clock.sleep(self._deadline - self._clock.monotonic()))
        try:
            await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else False
        finally:
            asked.cancel()
            ended.cancel()


@asynccontextmanager
async def kept(lease: Lease, renew: Callable[[], Awaitable[bool]]) -> AsyncIterator[Lease]:
    """Renew `lease` in the background inside an `async with`."""
    keeper = asyncio.create_task(lease.keep(renew), name=f"keepalive {lease.name}")
    try:
        yield lease
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
