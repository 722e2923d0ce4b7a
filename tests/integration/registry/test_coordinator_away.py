"""The registry while its coordinator is dead, or hangs: what is there is read, what is new is made, nothing is moved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.formats import FormatInspector
from synapsenet.adapters.sql.registry import SqlRegistryWork, metadata
from synapsenet.clock import SystemClock
from synapsenet.errors import Unavailable
from synapsenet.platform.work import ANONYMOUS
from synapsenet.registry.model import State, VersionWish
from synapsenet.registry.moves import Move
from synapsenet.registry.options import RegistryOptions
from synapsenet.registry.service import Registry
from synapsenet.testing.artifacts import stream
from synapsenet.testing.registry import DIGITS, KnownModels
from synapsenet_servers.mesh.channels import open_channel
from synapsenet_servers.peers.registry import GrpcLifecycle
from tests.contract.databases import sqlite_records
from tests.contract.sql.registry_stage import tensors

OPTIONS = RegistryOptions(adoption_s=0.5, lifecycle_s=0.5, move_s=0.5)


@pytest.fixture(params=["dead", "hanging"])
async def alone(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry whose coordinator's socket nobody listens to, or somebody who never answers."""
    socket = tmp_path / "l.sock"
    over = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = None if request.param == "dead" else await asyncio.start_unix_server(silent, socket)
    records = sqlite_records(tmp_path)
    async with (
        records("registry", metadata=metadata, unit=SqlRegistryWork, clock=SystemClock()) as work,
        open_channel(f"unix:{socket}") as channel,
    ):
        yield Registry(
            work=work,
            models=KnownModels(DIGITS),
            lifecycle=GrpcLifecycle(channel),
            artifacts=open_artifacts(tmp_path / "artifacts"),
            inspector=FormatInspector(),
            clock=SystemClock(),
            options=OPTIONS,
        )
    if server is not None:
        over.set()
        server.close()
        await server.wait_closed()


async def test_versions_are_made_and_read_and_not_moved(alone: Registry) -> None:
    begun = time.monotonic()
    made = await alone.create_version(VersionWish(model="digits"), ANONYMOUS)
    assert time.monotonic() - begun < 5.0
    with pytest.raises(Unavailable) as refusal:
        await alone.move_version("digits", 1, Move(to=State.TRAINING), ANONYMOUS)
    assert refusal.value.reason == "PEER_UNAVAILABLE"
    with pytest.raises(Unavailable):
        await alone.upload(tensors(), stream())
    assert await alone.version("digits", 1) == made
