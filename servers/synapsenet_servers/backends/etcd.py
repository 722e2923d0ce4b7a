"""etcd members on this machine: one alone, or several that form a cluster."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synapsenet.errors import FailedPrecondition
from synapsenet_servers.backends.backend import Backend

_METRICS_HOST = "127.0.0.1"
_READY_S = 1.0
_KEPT = "1h"  # of history: a watcher that was away for longer reads everything anew


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdTls:
    """PEM files with which a member serves clients.

    Attributes:
        authority: who signed the certificate and, if `mutual`, those of the clients.
        mutual: whether clients must show a certificate.
    """

    authority: Path
    certificate: Path
    key: Path
    mutual: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdMember:
    """One member: its name in the cluster and where it listens.

    Attributes:
        client_port: for clients.
        peer_port: for the other members.
        metrics_port: plain HTTP without credentials, on loopback only: `/health` and `/metrics`.
    """

    name: str = "etcd"
    host: str = "127.0.0.1"
    client_port: int
    peer_port: int
    metrics_port: int

    @property
    def address(self) -> str:
        """What clients dial."""
        return f"{self.host}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """What the other members dial; they trust each other by the network alone."""
        return f"http://{self.host}:{self.peer_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{_METRICS_HOST}:{self.metrics_port}"


def etcd_backend(member: EtcdMember, *, data: Path, members: Sequence[EtcdMember] = (), tls: EtcdTls | None = None) -> Backend:
    """`member` with its records in `data`, which is made if need be; what `data` holds already wins over `members`.

    Args:
        members: all members of a new cluster, this one included; by default it is alone.

    Raises:
        FailedPrecondition: ETCD_MISSING, etcd is not installed.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    data.chmod(0o700)  # etcd complains of any other
    url = f"{'https' if tls else 'http'}://{member.address}"
    argv = [
        etcd_program("etcd"),
        *("--name", member.name, "--data-dir", str(data)),
        *("--listen-client-urls", url, "--advertise-client-urls", url),
        *("--listen-peer-urls", member.peer_url, "--initial-advertise-peer-urls", member.peer_url),
        *("--initial-cluster", initial_cluster(members or (member,)), "--initial-cluster-state", "new"),
        *("--listen-metrics-urls", member.metrics_url),
        "--pre-vote",  # by default from 3.5 on: else a member that was cut off topples the leader when it comes back
        *("--auto-compaction-mode", "periodic", "--auto-compaction-retention", _KEPT),
        *("--logger", "zap", "--log-outputs", "stderr", "--log-level", "warn"),
        *(_tls_arguments(tls) if tls else ()),
    ]
    return Backend(name=member.name, argv=argv, cwd=data, address=member.address, ready=lambda: _is_healthy(member))


def initial_cluster(members: Sequence[EtcdMember]) -> str:
    """The members as etcd and `etcdctl snapshot restore` take them."""
    return ",".join(f"{member.name}={member.peer_url}" for member in members)


def etcd_program(name: str) -> str:
    """The path of `etcd` or `etcdctl`.

    Raises:
        FailedPrecondition: ETCD_MISSING.
    """
    if found := shutil.which(name):
        return found
    raise FailedPrecondition(
        "ETCD_MISSING",
        f"{name}, which the cluster keeps its locks and members with, is not installed",
        remedy="install etcd (Debian: etcd-server and etcd-client), or put it on the PATH",
    )


def _tls_arguments(tls: EtcdTls) -> Sequence[str]:
    files = ("--cert-file", str(tls.certificate), "--key-file", str(tls.key))
    return (*files, "--client-cert-auth", "--trusted-ca-file", str(tls.authority)) if tls.mutual else files


def _is_healthy(member: EtcdMember) -> bool:
    """Whether it has a leader and answers reads."""
    connection = http.client.HTTPConnection(_METRICS_HOST, member.metrics_port, timeout=_READY_S)
    try:
        connection.request("GET", "/health")
        return b'"true"' in connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
