"""When a process may be relied on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from synapsenet.clock import Clock
from synapsenet_servers.mesh.descriptors import external_services, read_descriptors

_LOOK_EVERY_S = 0.1
_ANSWER_S = 2.0
_QUICK_TO_RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
]


async def answering(ready: Callable[[], bool], clock: Clock) -> None:
    """Return once `ready`, which may take a second and blocks, says so."""
    while not await asyncio.to_thread(ready):
        await clock.sleep(_LOOK_EVERY_S)


async def serving(address: str, clock: Clock, *, services: Sequence[str] = ("",)) -> None:
    """Return once the server at `address` has said of each of `services` that it is served."""
    async with grpc.aio.insecure_channel(address, options=_QUICK_TO_RECONNECT) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in services:
            while not await _serves(health, service):
                await clock.sleep(_LOOK_EVERY_S)


async def _serves(health: health_pb2_grpc.HealthStub, service: str) -> bool:
    request = health_pb2.HealthCheckRequest(service=service)
    try:
        answer = await health.Check(request, timeout=_ANSWER_S, wait_for_ready=True)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def edge_serving(addresses: Sequence[str], clock: Clock) -> None:
    """Return once the edge at each of `addresses` passes calls on to every service that people may call."""
    contracts = Path(str(resources.files("synapsenet_api"))) / "api.binpb"
    services = external_services(read_descriptors(contracts))
    await asyncio.gather(*(serving(address, clock, services=services) for address in addresses))
