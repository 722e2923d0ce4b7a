"""The registry as this host's Envoy knows it: each role's instances followed into its endpoint file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from synapsenet.clock import Clock
from synapsenet.errors import SynapseError
from synapsenet.platform.membership import Membership
from synapsenet_servers.mesh.endpoints import EndpointFiles
from synapsenet_servers.mesh.mesh_options import MeshOptions
from synapsenet_servers.mesh.registration import group

_log = logging.getLogger(__name__)


class RegistryFollower:
    """Keeps the endpoint files as the registry is; while it is away, as it was.

    Args:
        told: is told how many instances a role has, after each change.
    """

    def __init__(
        self,
        membership: Membership,
        files: EndpointFiles,
        roles: Sequence[str],
        *,
        options: MeshOptions,
        clock: Clock,
        told: Callable[[str, int], Awaitable[None]],
    ) -> None:
        self._membership = membership
        self._files = files
        self._roles = roles
        self._options = options
        self._clock = clock
        self._told = told

    async def run(self) -> None:
        """Follow all roles until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for role in self._roles:
                tasks.create_task(self._follow(role), name=f"endpoints of {role}")
            tasks.create_task(self._repair(), name="endpoint files")

    async def _follow(self, role: str) -> None:
        while True:
            try:
                async for instances in self._membership.watch(group(role)):
                    try:
                        self._files.write(role, instances)
                    except OSError as error:
                        _log.error("the endpoints of %s are not written (%s); Envoy keeps what it has", role, error.strerror)
                    await self._told(role, len(instances))
            except SynapseError as error:
                _log.warning("the registry cannot be watched, %s stays as it was: %s", role, error.public)
            await self._clock.sleep(self._options.rejoin_s)

    async def _repair(self) -> None:
        while True:
            await self._clock.sleep(self._options.look_s)
            try:
                if damaged := self._files.repair():
                    _log.warning("the endpoint files of %s were not as they were written, and are again", ", ".join(damaged))
            except OSError as error:
                _log.error("endpoint files cannot be written (%s); Envoy keeps what it has", error.strerror)
