"""The embedded profile: the whole platform in one process, with the children that must be apart, on one machine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

import uvloop

from synapsenet_servers import telemetry
from synapsenet_servers.addresses import Addresses
from synapsenet_servers.bootstrap.host import Host, hosting
from synapsenet_servers.bootstrap.platform import open_platform
from synapsenet_servers.bootstrap.role import Platform
from synapsenet_servers.bootstrap.roles import ROLES
from synapsenet_servers.config import Config
from synapsenet_servers.mesh.edge import Edge, EdgePlaces, free_port, start_edge
from synapsenet_servers.not_yet_available.areas import rows_of

LOOPBACK = "127.0.0.1"
EDGE_SOCKET = "edge.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevOptions:
    """What `synapsenet dev` is told.

    Attributes:
        port: gRPC, on loopback; 0 takes a free one.
        http_port: Envoy with HTTP/JSON, NDJSON, gRPC-Web and gRPC, on loopback; 0 takes a free one.
        data: where everything is kept; the folder may hold other files.
    """

    port: int = 7400
    http_port: int = 7480
    data: Path = Path(".synapsenet")
    config: Config = field(default_factory=Config)


def main(options: DevOptions, announce: Callable[[Addresses], None]) -> None:
    """`run` to its end on an event loop of its own."""
    with (
        telemetry.open(options.config.telemetry, service="dev"),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(run(options, announce))


async def run(options: DevOptions, announce: Callable[[Addresses], None]) -> None:
    """Start the platform, announce where it is, and stop it on SIGINT or SIGTERM, letting calls under way end.

    A second signal ends them at once.

    Raises:
        FailedPrecondition: PORT_IN_USE, DATA_IN_USE, DATA_NOT_WRITABLE, SCHEMA_NEWER.
        DataLoss: DATABASE_CORRUPT.
        Internal: TASK_DIED, a part of the platform ended by itself.
    """
    asked = asyncio.Event()
    _on_signal(asked.set)
    async with started(options) as (addresses, host):
        announce(addresses)
        stop, failed = asyncio.ensure_future(asked.wait()), asyncio.ensure_future(host.failed())
        await asyncio.wait({stop, failed}, return_when=asyncio.FIRST_COMPLETED)
        _on_signal(host.hurry)
        stop.cancel()
        failed.cancel()
        if failed.done() and not failed.cancelled():
            failed.result()


@asynccontextmanager
async def started(options: DevOptions) -> AsyncIterator[tuple[Addresses, Host]]:
    """The embedded platform inside an `async with`."""
    data = options.data.resolve()
    free_port(LOOPBACK, options.port)
    free_port(LOOPBACK, options.http_port)
    async with open_platform(options.config, data=data) as platform:
        outer = [f"{LOOPBACK}:{options.port}", f"unix:{platform.run / EDGE_SOCKET}"]
        async with hosting(platform, ROLES, outer=outer, absent=rows_of(ROLES)) as host:
            edge = await _edge(options, platform)
            host.depend_on("envoy", edge.child)
            metrics = telemetry.current().metrics_address
            yield Addresses(grpc=f"{LOOPBACK}:{host.ports[0]}", http=edge.address, data=data, metrics=metrics), host


async def _edge(options: DevOptions, platform: Platform) -> Edge:
    places = EdgePlaces(
        contracts=Path(str(resources.files("synapsenet_api"))) / "api.binpb",
        upstream=platform.run / EDGE_SOCKET,
        run=platform.run,
        log=platform.data / "logs" / "envoy.log",
    )
    edge = replace(options.config.edge, host=LOOPBACK, port=options.http_port)
    return await start_edge(edge, places, supervisor=platform.supervisor, clock=platform.clock)


def _on_signal(do: Callable[[], object]) -> None:
    """Have SIGINT and SIGTERM `do` from now on."""
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, do)
