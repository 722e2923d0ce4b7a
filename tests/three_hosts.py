"""A cluster on three hosts: one with PostgreSQL, the broker and what there is one of only; two with replicas of all the rest.

Each host has a member of etcd, its Envoy and one process of roles. Between hosts there is mutual TLS; people are at the edges,
which listen on each host's loopback.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet_cli.main import main
from synapsenet_client import Client, Options, Tls, connect
from synapsenet_servers.backends.backend import Backend
from synapsenet_servers.backends.etcd import EtcdMember, etcd_backend
from synapsenet_servers.backends.kafka import kafka_backend
from synapsenet_servers.backends.postgres import DATABASE, USER, postgres
from tests.backends import running
from tests.cluster import REPLICATED, ServeProcess, entered, toml, until
from tests.hosts import Host, Network, network
from tests.live import CLI

# Each host has all ports for itself.
EDGE, SERVICES, POSTGRES, BROKER = 7400, 7411, 5432, 9092
ETCD_CLIENT, ETCD_PEER, ETCD_METRICS = 2379, 2380, 2381
ALONE = ("features", "training")
ANSWER_S = 2.0
COMES_UP_S = 60.0

_CARRIED = re.compile(r"^(?P<cluster>\w+/\w+)::(?P<address>[\d.:]+)::rq_success::(?P<count>\d+)$", re.MULTILINE)
_HEALTHY = re.compile(r"^mesh/(?P<role>\w+)::(?P<address>[\d.:]+)::health_flags::healthy$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A host of the cluster, and what of it lies in files.

    Attributes:
        service: `host:port` of its process of roles.
        data: of that process.
        certificates: the folder with those of all.
    """

    host: Host
    data: Path
    process: ServeProcess
    certificates: Path

    def client(self) -> Client:
        """To its process of roles itself, as the mesh."""
        authority, own, key = (self.certificates / name for name in ("ca.pem", "mesh.pem", "mesh.key"))
        tls = Tls(ca=authority, certificate=own, key=key)
        return connect(self.service, options=Options(tls=tls, timeout=15))

    @property
    def service(self) -> str:
        return f"{self.host.address}:{SERVICES}"

    def carried(self, other: Place) -> int:
        """Calls that this host's Envoy has carried to the services of `other`, and that were answered."""
        found = _CARRIED.finditer(self.envoy("/clusters"))
        return sum(int(one["count"]) for one in found if one["address"] == other.service)

    def reaches(self, other: Place) -> bool:
        """Whether this host's Envoy finds all roles of `other` healthy."""
        found = _HEALTHY.finditer(self.envoy("/clusters"))
        return set(other.process.roles) <= {one["role"] for one in found if one["address"] == other.service}

    def knows(self, other: Place) -> bool:
        """Whether all roles of `other` are registered, and this host has heard of it."""
        files = [self.data / "mesh" / "endpoints" / f"{role}.json" for role in other.process.roles]
        return all(f'"{other.host.address}"' in file.read_text() for file in files if file.exists())

    def has_forgotten(self, other: Place) -> bool:
        """Whether none of the roles of `other` is registered, as this host has heard."""
        return not any(
            f'"{other.host.address}"' in (self.data / "mesh" / "endpoints" / f"{role}.json").read_text() for role in REPLICATED
        )

    def envoy(self, path: str) -> str:
        """What its Envoy's administration answers to GET."""
        connection = http.client.HTTPConnection("envoy", timeout=ANSWER_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(ANSWER_S)
        try:
            connection.sock.connect(str((self.data / "run").resolve() / "envoy-admin.sock"))
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeHosts:
    """The running cluster.

    Attributes:
        places: by the host's name: `a`, `b` and `c`; `a` has what there is one of only.
        broker: `host:port`.
        postgres: how each host reaches it.
    """

    network: Network
    places: Mapping[str, Place]
    broker: str
    postgres: PostgresOptions
    folder: Path
    logs: Mapping[str, Path] = field(default_factory=dict)

    def log(self) -> str:
        """The ends of what all have said, for whoever wants to know why."""
        return "\n".join(f"== {name}\n{path.read_text(errors='replace')[-6_000:]}" for name, path in self.logs.items())


@contextmanager
def three_hosts() -> Iterator[ThreeHosts]:
    """The cluster inside a `with`, once every host's Envoy passes calls on to every service.

    Raises:
        NoNamespacesError: this machine cannot make hosts.
    """
    with ExitStack() as stack:
        net = stack.enter_context(network("a", "b", "c"))
        # Sockets' paths are short, pytest's folders are not.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hosts-", ignore_cleanup_errors=True)))
        backends = _backends(net, folder)
        entered([_running(backend, folder) for backend in backends], stack)
        _certificates(net, folder / "certificates")
        places = {name: _serve(host, net, folder) for name, host in net.hosts.items()}
        stack.callback(_close, places)
        logs = {backend.name: folder / f"{backend.name}.log" for backend in backends}
        logs |= {name: place.process.log for name, place in places.items()}
        cluster = ThreeHosts(
            network=net, places=places, broker=_broker(net), postgres=_database(net, folder), folder=folder, logs=logs
        )
        for place in places.values():
            place.process.wait_until_serving()
        until(partial(_all_reach_all, places), within=COMES_UP_S)
        yield cluster


def _all_reach_all(places: Mapping[str, Place]) -> bool:
    return all(one.reaches(other) for one in places.values() for other in places.values())


def _backends(net: Network, folder: Path) -> list[Backend]:
    """etcd on every host, PostgreSQL and the broker on the first."""
    first = net.hosts["a"]
    members = {
        name: EtcdMember(
            name=f"etcd-{name}",
            host=host.address,
            client_port=ETCD_CLIENT,
            peer_port=ETCD_PEER,
            metrics_port=ETCD_METRICS,
        )
        for name, host in net.hosts.items()
    }
    made = []
    for name, member in members.items():
        backend = etcd_backend(member, data=folder / member.name, members=list(members.values()))
        made.append(replace(_inside(net.hosts[name], backend), ready=partial(_etcd_answers, member.address)))
    made.append(_inside(first, kafka_backend(port=BROKER, host=first.address, folder=folder / "broker")))
    sockets = folder / "sockets"
    sockets.mkdir(mode=0o700)
    database = postgres(folder / "postgres", sockets=sockets, port=POSTGRES, host=first.address)
    with (folder / "postgres" / "data" / "pg_hba.conf").open("a") as logins:
        logins.write(f"host {DATABASE} {USER} {net.subnet} scram-sha-256\n")
    return [*made, _inside(first, database)]


@contextmanager
def _running(backend: Backend, folder: Path) -> Iterator[None]:
    """The backend inside a `with`, and killed: PostgreSQL would wait for its clients, which may be cut off."""
    with running(backend, folder / f"{backend.name}.log") as process:
        try:
            yield
        finally:
            process.kill()


def _inside(host: Host, backend: Backend) -> Backend:
    return replace(backend, argv=host.command(backend.argv))


def _etcd_answers(address: str) -> bool:
    """As clients see it: the member has a leader."""
    with suppress(OSError, http.client.HTTPException), urlopen(f"http://{address}/health", timeout=ANSWER_S) as answer:
        return b'"true"' in answer.read()
    return False


def _certificates(net: Network, folder: Path) -> None:
    hosts = [part for host in net.hosts.values() for part in ("--host", host.address)]
    assert main(["certs", "init", "--out", str(folder), *hosts]) == 0


def _serve(host: Host, net: Network, folder: Path) -> Place:
    """Start the host's one process without waiting for it."""
    roles = ("mesh", *(ALONE if host is net.hosts["a"] else REPLICATED))
    data, log, config = folder / host.name, folder / f"serve-{host.name}.log", folder / f"{host.name}.toml"
    config.write_text(toml(_sections(host, net, folder)))
    argv = [*CLI, "serve", *roles, "--config", str(config), "--data-dir", str(data)]
    with log.open("a") as errors:
        started = subprocess.Popen(
            host.command(argv), stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, "PYTHONFAULTHANDLER": "1"}
        )
    process = ServeProcess(host.name, roles, log, started)
    return Place(host=host, data=data, process=process, certificates=folder / "certificates")


def _sections(host: Host, net: Network, folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """The host's cluster.toml. Every host names its own member of etcd first."""
    members = sorted(net.hosts.values(), key=lambda other: other is not host)
    certificates, options = folder / "certificates", _database(net, folder)
    files = {"ca_file": "ca.pem", "certificate_file": "mesh.pem", "key_file": "mesh.key"}
    files |= {"edge_certificate_file": "edge.pem", "edge_key_file": "edge.key"}
    return {
        "etcd": {"endpoints": [f"{member.address}:{ETCD_CLIENT}" for member in members]},
        "postgres": {"url": options.url, "password_file": options.password_file},
        "kafka": {"brokers": [_broker(net)]},
        "artifacts": {"url": str(folder / "artifacts")},
        "mesh": {"host": host.name, "listen": f"{host.address}:{SERVICES}", "socket": str(folder / f"{host.name}.sock")},
        "edge": {"port": EDGE},
        "security": {**{option: str(certificates / file) for option, file in files.items()}, "anonymous": True},
    }


def _broker(net: Network) -> str:
    return f"{net.hosts['a'].address}:{BROKER}"


def _database(net: Network, folder: Path) -> PostgresOptions:
    url = f"postgresql://{USER}@{net.hosts['a'].address}:{POSTGRES}/{DATABASE}"
    return PostgresOptions(url=url, password_file=str(folder / "postgres" / "password"))


def _close(places: Mapping[str, Place]) -> None:
    """At once: a cluster that is thrown away owes nobody an orderly end."""
    for place in places.values():
        place.process.process.kill()
    for place in places.values():
        place.process.close()
