"""Whether a call that lasts may go on: its caller's token may be revoked, or end, while it streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from synapsenet.errors import PermissionDenied, SynapseError, Unauthenticated


class Standing:
    """What one call was allowed, asked about again until the call ends.

    Attributes:
        refusal: why the call was ended; None if it was not, or for another reason.
    """

    def __init__(self, limit: asyncio.Timeout) -> None:
        self._limit = limit
        self._asking: asyncio.Task[None] | None = None
        self.refusal: SynapseError | None = None

    def keep(self, ask: Callable[[], Awaitable[None]], *, every_s: float, lost: Callable[[SynapseError], None]) -> None:
        """Ask every so many seconds; a refusal is told to `lost` and ends the call, an answer that nobody can give does not."""
        self._asking = asyncio.create_task(self._ask(ask, every_s, lost), name="standing of a call")

    def end(self) -> None:
        """The call is over."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self, ask: Callable[[], Awaitable[None]], every_s: float, lost: Callable[[SynapseError], None]) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await ask()
            except (Unauthenticated, PermissionDenied) as refusal:
                self.refusal = refusal
                lost(refusal)
                if not self._limit.expired():
                    self._limit.reschedule(asyncio.get_running_loop().time())
                return
            except SynapseError:
                continue  # the store of tokens is away: the call was allowed, and is not ended for that
