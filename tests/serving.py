"""Roles served in the test's own process, as the platform serves them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from synapsenet_servers.bootstrap.host import hosting
from synapsenet_servers.bootstrap.platform import open_platform
from synapsenet_servers.bootstrap.roles import ROLES
from synapsenet_servers.config import Config
from synapsenet_servers.not_yet_available.table import TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRoles:
    """Where served roles are.

    Attributes:
        port: of the address that people reach, on loopback.
        channel: to that address.
        data: the platform's folder.
    """

    port: int
    channel: grpc.aio.Channel
    data: Path


@asynccontextmanager
async def serving_roles(data: Path, *areas: str, **sections: dict[str, Any]) -> AsyncIterator[ServedRoles]:
    """Serve `areas` on the folder `data`, with these sections of the configuration."""
    config = Config(**sections)  # type: ignore[arg-type]  # pydantic makes sections of mappings
    roles = {area: ROLES[area] for area in areas}
    async with (
        open_platform(config, data=data) as platform,
        hosting(platform, roles, outer=["127.0.0.1:0"], absent=TABLE) as host,
        grpc.aio.insecure_channel(f"127.0.0.1:{host.ports[0]}") as channel,
    ):
        yield ServedRoles(port=host.ports[0], channel=channel, data=platform.data)
