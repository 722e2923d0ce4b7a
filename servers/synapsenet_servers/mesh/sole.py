"""Roles of which there is one only: its data or its processes are one machine's, and a second would have others."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, FailedPrecondition, SynapseError
from synapsenet.platform.locks import Held, Locks
from synapsenet_servers.mesh.mesh_options import MeshOptions

SOLE = frozenset({"features", "training"})
"""Features keep their values in one folder, training has its jobs' processes beside it."""

_log = logging.getLogger(__name__)


class Sole:
    """The one place of a role, while this process has it.

    Args:
        holder: who this is, for those who wait.
    """

    def __init__(self, role: str, locks: Locks, *, holder: str, options: MeshOptions, clock: Clock) -> None:
        self.role = role
        self._locks = locks
        self._holder = holder
        self._options = options
        self._clock = clock
        self._hold = AsyncExitStack()
        self._held: Held | None = None

    def check(self) -> None:
        """Pass while the place is surely this process's.

        Raises:
            Aborted: LOCK_LOST.
        """
        if self._held is None:
            raise Aborted("LOCK_LOST", f"the place of the one {self.role} is not held", remedy="take it first")
        self._held.check()

    async def run(self) -> None:
        """Keep the place for as long as nobody else has taken it.

        While the locks' store is away nobody can: the role goes on, and reads with it.

        Raises:
            FailedPrecondition: ROLE_TAKEN, another process has.
        """
        while True:
            assert self._held is not None  # it was taken
            await self._held.lost()
            _log.warning("the lock on the role %s is lost and taken anew", self.role)
            self._held = None
            await self._hold.aclose()
            await self._regain()

    async def _regain(self) -> None:
        while True:
            try:
                return await self.take(wait=0.0)
            except FailedPrecondition:
                raise
            except SynapseError as error:
                _log.warning("the lock on the role %s cannot be taken: %s", self.role, error.public)
                await self._clock.sleep(self._options.rejoin_s)

    async def take(self, *, wait: float) -> None:
        """Have the place, at the latest `wait` seconds from now.

        Raises:
            FailedPrecondition: ROLE_TAKEN.
        """
        hold = self._locks.hold(f"role/{self.role}", holder=self._holder, ttl=self._options.lease_ttl_s, wait=wait)
        try:
            self._held = await self._hold.enter_async_context(hold)
        except Aborted as busy:
            if busy.metadata.get("holder") == self._holder:
                raise  # our own former lease, which is about to end
            raise FailedPrecondition(
                "ROLE_TAKEN",
                f"{self.role} is served by {busy.metadata.get('holder', 'another process')}, and there can be one only",
                remedy="stop that one first",
            ) from busy

    async def give_up(self) -> None:
        """Let another have the place."""
        await self._hold.aclose()


@asynccontextmanager
async def sole_place(role: str, locks: Locks, *, holder: str, options: MeshOptions, clock: Clock) -> AsyncIterator[Sole]:
    """The one place of `role` inside an `async with`, once its former process has left it.

    Raises:
        FailedPrecondition: ROLE_TAKEN, it has not left within `mesh.sole_wait_s`.
    """
    sole = Sole(role, locks, holder=holder, options=options, clock=clock)
    await sole.take(wait=options.sole_wait_s)
    try:
        yield sole
    finally:
        await sole.give_up()
