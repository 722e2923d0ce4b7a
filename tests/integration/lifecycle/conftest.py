"""A coordinator served as the platform serves it, with a registry and participants whose behaviour a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.clock import SystemClock
from synapsenet.testing.lifecycle_stage import Stage, staged
from synapsenet_api.lifecycle.v1.lifecycle_control_service_pb2_grpc import (
    LifecycleControlServiceStub,
    add_LifecycleControlServiceServicer_to_server,
)
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import (
    LifecycleServiceStub,
    add_LifecycleServiceServicer_to_server,
)
from synapsenet_client import AsyncClient, Options, connect_async
from synapsenet_servers.bootstrap.role import Service
from synapsenet_servers.server import Server
from synapsenet_servers.server_options import ServerOptions
from synapsenet_servers.servicers.lifecycle import Coordination
from synapsenet_servers.servicers.lifecycle_control import CoordinationControl
from tests.contract.databases import sqlite_records

CLOCK = SystemClock()
LONGEST_WAIT_S = 2.0


def services(stage: Stage) -> list[Service]:
    """The coordinator on the wire."""
    return [
        Service(
            name="synapsenet.lifecycle.v1.LifecycleService",
            servicer=Coordination(stage.lifecycle, longest_wait_s=LONGEST_WAIT_S),
            add=add_LifecycleServiceServicer_to_server,
        ),
        Service(
            name="synapsenet.lifecycle.v1.LifecycleControlService",
            servicer=CoordinationControl(stage.lifecycle.coordinator),
            add=add_LifecycleControlServiceServicer_to_server,
        ),
    ]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    records = sqlite_records(tmp_path)
    async with (
        open_coordination(tmp_path / "coordination.sqlite") as coordination,
        records("lifecycle", metadata=metadata, unit=SqlLifecycleWork, clock=CLOCK) as work,
        staged(work, work.feed, SqlLocks(coordination, CLOCK), CLOCK) as opened,
    ):
        yield opened


@pytest.fixture
async def port(stage: Stage) -> AsyncIterator[int]:
    server = Server(services(stage), ["127.0.0.1:0"], options=ServerOptions(drain_s=1.0))
    async with server.serving():
        yield server.ports[0]


@pytest.fixture
async def channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Any:
    """`LifecycleService` without the SDK's help."""
    return LifecycleServiceStub(channel)


@pytest.fixture
def control(channel: grpc.aio.Channel) -> Any:
    """What the platform's own services call."""
    return LifecycleControlServiceStub(channel)


@pytest.fixture
async def client(port: int) -> AsyncIterator[AsyncClient]:
    async with connect_async(f"127.0.0.1:{port}", options=Options(timeout=10)) as connected:
        yield connected
