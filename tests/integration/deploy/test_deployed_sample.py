"""The sample that deploy/ carries, run: its configuration and its containers' commands, with this machine's paths and ports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from synapsenet_client import Options, Tls, Unauthenticated, connect
from synapsenet_servers.backends.etcd import EtcdMember, EtcdTls, etcd_backend
from synapsenet_servers.backends.kafka import kafka_backend
from synapsenet_servers.backends.postgres import postgres
from synapsenet_servers.mesh.ports import free_ports
from synapsenet_servers.security.certificates import make_all
from tests.backends import STOP_S, running
from tests.integration.deploy.test_compose_file import DEPLOY, render
from tests.live import CLI

HEALTHY_WITHIN_S = 90.0

pytestmark = pytest.mark.timeout(200)


class Sample:
    """What deploy/compose.yaml describes, on this machine.

    Attributes:
        edge: Envoy's two ports.
        secrets: the folder with the certificates.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        client, peer, metrics, kafka, database, *edge = free_ports("127.0.0.1", [0] * 7)
        self.edge: Sequence[int] = edge
        self.secrets = folder / "secrets"
        self._folder = folder
        self._stack = stack
        self._compose: dict[str, Any] = json.loads(render("--format", "json").stdout)["services"]
        self._here = {
            "/run/secrets": str(self.secrets),
            "/run/synapsenet": str(folder / "run"),
            "/var/lib/artifacts": str(folder / "artifacts"),
            "etcd:2379": f"127.0.0.1:{client}",
            "postgres:5432": f"127.0.0.1:{database}",
            "kafka:9092": f"127.0.0.1:{kafka}",
            "= 7400": f"= {edge[0]}",
            "[7480]": f"[{edge[1]}]",
            "0.0.0.0:9464": "127.0.0.1:0",
        }
        make_all(self.secrets, hosts=["etcd"], life=timedelta(days=1), now=datetime.now(UTC))
        self._back(EtcdMember(client_port=client, peer_port=peer, metrics_port=metrics), kafka, database)
        (folder / "run").mkdir(mode=0o700)
        self.configuration = folder / "cluster.toml"
        self.configuration.write_text(self._local((DEPLOY / "cluster.toml").read_text()))

    def _back(self, member: EtcdMember, kafka: int, database: int) -> None:
        secrets, folder = self.secrets, self._folder
        tls = EtcdTls(authority=secrets / "ca.pem", certificate=secrets / "etcd.pem", key=secrets / "etcd.key")
        (folder / "sockets").mkdir(mode=0o700)
        for backend in (
            etcd_backend(member, data=folder / "etcd", tls=tls),
            kafka_backend(port=kafka, folder=folder / "kafka"),
            postgres(folder / "postgres", sockets=folder / "sockets", port=database),
        ):
            self._stack.enter_context(running(backend, folder / f"{backend.name}.log"))
        (secrets / "postgres-password").write_text((folder / "postgres" / "password").read_text())

    def _local(self, text: str) -> str:
        for there, here in self._here.items():
            text = text.replace(there, here)
        return text

    def start(self, name: str) -> None:
        """The container `name`, as a process, until the end of the test."""
        service = self._compose[name]
        serve, role = service["command"][:2]
        command = [*CLI, serve, role, "--config", str(self.configuration), "--data-dir", str(self._folder / f"data-{name}")]
        variables = {key: self._local(value) for key, value in service["environment"].items()}
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **variables})
        self._stack.callback(process.wait, STOP_S)
        self._stack.callback(process.kill)  # and with it Envoy, which is the child of one

    def is_healthy(self, name: str) -> bool:
        """What the container's own health check says."""
        program, *asked = self._compose[name]["healthcheck"]["test"][1:]
        assert program == "python"
        return subprocess.run([sys.executable, *map(self._local, asked)], timeout=30, check=False).returncode == 0

    def token(self, scope: str) -> str:
        made = subprocess.run(
            [*CLI, "tokens", "create", "--name", "test", "--scope", scope, "--config", str(self.configuration)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return made.stdout.strip()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    with ExitStack() as stack:
        sample = Sample(tmp_path_factory.mktemp("d"), stack)
        for name in ("models", "mesh"):
            sample.start(name)
        yield sample


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_its_containers_become_healthy_by_their_own_health_checks(sample: Sample) -> None:
    for name in ("models", "mesh"):
        eventually(lambda name=name: sample.is_healthy(name))  # type: ignore[misc]  # mypy does not infer a default's type


def test_people_come_in_through_both_ports_by_tls_and_with_a_token_only(sample: Sample) -> None:
    anybody = Options(tls=Tls(ca=sample.secrets / "ca.pem"))
    known = replace(anybody, token=sample.token("models:read"))
    for port in sample.edge:
        with connect(f"localhost:{port}", options=known) as client:
            assert list(client.models.list()) == []
        with connect(f"localhost:{port}", options=anybody) as client, pytest.raises(Unauthenticated):
            list(client.models.list())
