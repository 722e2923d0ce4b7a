"""A process's place in the registry: each of its roles under its lease, for as long as it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

from synapsenet.clock import Clock
from synapsenet.errors import SynapseError, Unavailable
from synapsenet.platform.membership import Instance, Membership
from synapsenet_servers.mesh.mesh_options import MeshOptions

_log = logging.getLogger(__name__)


def group(role: str) -> str:
    """Where the instances of `role` are registered."""
    return f"service/{role}"


class Registration:
    """Registers what a process serves, and anew whenever a lease was lost.

    Args:
        address: where others reach the process, `host:port` or `unix:PATH`; it names the instance, so that a process that
            comes back at its address takes the place of its former self.
        facts: what else people should see of it.
    """

    def __init__(
        self,
        membership: Membership,
        *,
        roles: Iterable[str],
        address: str,
        facts: dict[str, str],
        options: MeshOptions,
        clock: Clock,
    ) -> None:
        self._membership = membership
        self._options = options
        self._clock = clock
        self._instances = [
            Instance(group=group(role), id=address.replace("/", "_"), address=address, zone=options.zone, metadata=facts)
            for role in roles
        ]
        self._missing = {instance.group for instance in self._instances}
        self._whole = asyncio.Event()
        self._leaving = asyncio.Event()
        self._left = asyncio.Event()
        self._since = clock.monotonic()
        self._trouble = ""

    async def run(self) -> None:
        """Stay registered until cancelled, or deregistered from `leave` on; what is lost for long is said, and said again."""
        self._since = self._clock.monotonic()
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._complain(), name="registration watch")
            stays = [tasks.create_task(self._stay(instance), name=instance.group) for instance in self._instances]
            await self._leaving.wait()
            watch.cancel()
            for stay in stays:
                stay.cancel()
        self._left.set()
        await asyncio.get_running_loop().create_future()

    async def registered(self) -> None:
        """Return once every role is registered.

        Raises:
            Unavailable: REGISTRY_AWAY, that did not come about within `mesh.lost_after_s`.
        """
        whole, late = (
            asyncio.ensure_future(self._whole.wait()),
            asyncio.ensure_future(self._clock.sleep(self._options.lost_after_s)),
        )
        try:
            await asyncio.wait({whole, late}, return_when=asyncio.FIRST_COMPLETED)
            if not self._whole.is_set():
                raise Unavailable("REGISTRY_AWAY", self._sentence(), remedy="see whether etcd can be reached, then start again")
        finally:
            whole.cancel()
            late.cancel()

    async def leave(self, *, within: float) -> None:
        """Deregister, and return once that is done, or `within` seconds later."""
        self._leaving.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._left.wait()

    async def _stay(self, instance: Instance) -> None:
        while True:
            try:
                async with self._membership.join(instance, ttl=self._options.lease_ttl_s) as joined:
                    self._note(instance, present=True)
                    try:
                        await joined.lost()
                    finally:
                        self._note(instance, present=False)
                _log.warning("the registration of %s is lost and made anew", instance.group)
            except SynapseError as error:
                self._trouble = error.public
            await self._clock.sleep(self._options.rejoin_s)

    def _note(self, instance: Instance, *, present: bool) -> None:
        if not present:
            if not self._missing:
                self._since = self._clock.monotonic()
            self._missing.add(instance.group)
            self._whole.clear()
            return
        self._missing.discard(instance.group)
        self._trouble = ""
        if not self._missing:
            if (away := self._clock.monotonic() - self._since) > self._options.lost_after_s:
                _log.warning("all roles are registered again after %.0f s", away)
            self._whole.set()

    async def _complain(self) -> None:
        while True:
            await self._clock.sleep(self._options.lost_after_s)
            if self._missing and self._clock.monotonic() - self._since >= self._options.lost_after_s:
                _log.error("%s; calls under way go on, and hosts that know this process go on calling it", self._sentence())

    def _sentence(self) -> str:
        names = ", ".join(sorted(name.rpartition("/")[2] for name in self._missing))
        away = self._clock.monotonic() - self._since
        return f"{names} could not be registered for {away:.0f} s{f' ({self._trouble})' if self._trouble else ''}"
