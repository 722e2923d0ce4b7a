"""The processes of the cluster profile on this machine, and the order in which they depend on each other."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from synapsenet.clock import Clock
from synapsenet.errors import Unavailable
from synapsenet_servers.addresses import Addresses
from synapsenet_servers.backends.backend import Backend
from synapsenet_servers.backends.etcd import EtcdMember, etcd_backend
from synapsenet_servers.backends.kafka import kafka_backend
from synapsenet_servers.backends.postgres import postgres
from synapsenet_servers.children.launcher import environment
from synapsenet_servers.children.supervisor import ChildSpec, Restart
from synapsenet_servers.mesh.edge import envoy_program
from synapsenet_servers.mesh.ports import free_ports, spell
from synapsenet_servers.telemetry.variables import inherited
from synapsenet_servers.up.configuration import Backing, listening, sections, write
from synapsenet_servers.up.options import LOOPBACK, MESH, SERVICES, RoleProcess, UpOptions
from synapsenet_servers.up.readiness import answering, edge_serving, serving
from synapsenet_servers.up.starting import Waves
from synapsenet_servers.up.status import Place

# What dies is started again for as long as `up` runs, ever more slowly.
_FOR_EVER = Restart(budget=1_000, longest=5.0)
_READY_WITHIN_S = 120.0
_GRACE_S = 20.0
_PASSED_ON = "SYNAPSENET_"
_BACKEND_PORTS = 5


class Cluster:
    """The cluster profile on this machine, in the folder `data`.

    Args:
        data: kept from one run to the next.
        run: private folder for sockets.

    Raises:
        FailedPrecondition: PORT_IN_USE, PORT_REFUSED.
        ResourceExhausted: NO_FREE_PORT.
    """

    def __init__(self, options: UpOptions, *, data: Path, run: Path, clock: Clock) -> None:
        self._data = data
        self._run = run
        self._clock = clock
        ports = free_ports(LOOPBACK, (options.port, options.http_port, *[0] * _BACKEND_PORTS))
        self._ports, self._backend_ports = ports[:2], ports[2:]
        self._configuration = data / "cluster.toml"
        self.places: dict[str, Place] = {}

    @property
    def addresses(self) -> Addresses:
        """Where people find it."""
        grpc, http = (spell(LOOPBACK, port) for port in self._ports)
        return Addresses(grpc=grpc, http=http, data=self._data)

    @asynccontextmanager
    async def running(self, waves: Waves) -> AsyncIterator[None]:
        """Run it inside an `async with`: the backends, then everything of ours, which is stopped before them.

        Raises:
            FailedPrecondition: ETCD_MISSING, KAFKA_MISSING, ENVOY_MISSING, PROGRAM_MISSING, POSTGRES_OTHER_RELEASE.
            Unavailable: CHILD_NOT_READY, with what it said last.
        """
        backends = await asyncio.to_thread(self._prepare)
        async with waves.wave([self._backend(backend) for backend in backends]):
            mesh = self._role(MESH)
            async with waves.wave([mesh], [self._role(process) for process in SERVICES]):
                await self._edge_serves()
                yield

    async def _edge_serves(self) -> None:
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                await edge_serving([self.addresses.grpc, self.addresses.http], self._clock)
        except TimeoutError as error:
            sentence = f"the edge did not pass calls on to every service within {_READY_WITHIN_S:g} s"
            raise Unavailable("EDGE_NOT_READY", sentence, remedy=f"see {self._log(MESH.name)}") from error

    def _prepare(self) -> Sequence[Backend]:
        """Make the backends' folders ready, and tell everybody where they will be. It takes seconds the first time."""
        envoy_program()
        client, peer, metrics, kafka_port, postgres_port = self._backend_ports
        member = EtcdMember(client_port=client, peer_port=peer, metrics_port=metrics)
        etcd = etcd_backend(member, data=self._data / "etcd")
        kafka = kafka_backend(port=kafka_port, folder=self._data / "kafka")
        sockets = self._run / "postgres"
        sockets.mkdir(mode=0o700)
        database = postgres(self._data / "postgres", sockets=sockets, port=postgres_port)
        backing = Backing(etcd=etcd.address, kafka=kafka.address, postgres=database.address)
        write(self._configuration, sections(backing, data=self._data, run=self._run, ports=self._ports))
        self._tell_places([etcd, kafka, database])
        return [etcd, kafka, database]

    def _tell_places(self, backends: Sequence[Backend]) -> None:
        for backend in backends:
            self.places[backend.name] = Place(role="backend", address=backend.address)
        for process in SERVICES:
            self.places[process.name] = Place(role=process.role, address=listening(self._run, process.name))
        self.places[MESH.name] = Place(role=MESH.role, address=", ".join((self.addresses.grpc, self.addresses.http)))

    def _backend(self, backend: Backend) -> ChildSpec:
        return ChildSpec(
            name=backend.name,
            argv=backend.argv,
            env=environment(**backend.env),
            cwd=backend.cwd,
            log=self._log(backend.name),
            restart=_FOR_EVER,
            ready=partial(answering, backend.ready, self._clock),
            ready_within=_READY_WITHIN_S,
            grace=_GRACE_S,
        )

    def _role(self, process: RoleProcess) -> ChildSpec:
        folder = self._data / "processes" / process.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        listen = listening(self._run, process.name)
        where = ["--config", str(self._configuration), "--listen", listen, "--data-dir", str(folder)]
        return ChildSpec(
            name=process.name,
            argv=[sys.executable, "-m", "synapsenet_cli", "serve", process.role, *where],
            env=environment(
                **{name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}, **inherited()
            ),
            cwd=folder,
            log=self._log(process.name),
            restart=_FOR_EVER,
            ready=partial(serving, listen, self._clock),
            ready_within=_READY_WITHIN_S,
            grace=_GRACE_S,
        )

    def _log(self, name: str) -> Path:
        return self._data / "logs" / f"{name}.log"
