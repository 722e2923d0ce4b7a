"""A small whole cluster for tests: etcd, PostgreSQL, a broker, and `synapsenet serve` processes behind a host's Envoy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc

from synapsenet_servers.mesh.ports import free_ports
from tests.etcd_server import EtcdServer, etcd_server
from tests.kafka_server import KafkaServer, kafka_server
from tests.live import CLI
from tests.postgres_server import RunningPostgres, postgres_server

T = TypeVar("T")

STARTED_WITHIN_S = 90.0
STOPPED_WITHIN_S = 40.0
LOOPBACK = "127.0.0.1"

# Few processes, because each one takes two seconds of CPU to come up, and two replicas of all that may have them.
REPLICATED = ("models", "registry", "experiments", "inference", "monitoring", "lifecycle")
PROCESSES: Mapping[str, tuple[str, ...]] = {
    "mesh": ("mesh",),
    "one": ("features", "training", *REPLICATED),
    "two": REPLICATED,
}


@dataclass(slots=True)
class ServeProcess:
    """One `synapsenet serve`.

    Attributes:
        announced: what it has said of where it listens.
    """

    name: str
    roles: tuple[str, ...]
    log: Path
    process: subprocess.Popen[str]
    announced: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until_serving(self) -> list[str]:
        """The lines that it announced, once it serves.

        Raises:
            AssertionError: it ended first.
        """
        assert self.process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("serving "):
            line = self.process.stdout.readline().strip()
            if not line:
                self.process.wait(STOPPED_WITHIN_S)
                raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.log.read_text()[-4_000:]}")
            lines.append(line)
        self.announced = lines
        return lines

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.process.kill()
        self.process.wait(STOPPED_WITHIN_S)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOPPED_WITHIN_S)

    def close(self) -> None:
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process.stdout:
            self.process.stdout.close()


@dataclass(slots=True, kw_only=True)
class Cluster:
    """A running cluster.

    Attributes:
        ports: of Envoy's edge; both serve gRPC and HTTP/JSON.
        socket: of Envoy, for calls between services.
    """

    etcd: EtcdServer
    postgres: RunningPostgres
    kafka: KafkaServer | None
    folder: Path
    config: Path
    ports: tuple[int, int]
    socket: Path
    processes: dict[str, ServeProcess] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return f"{LOOPBACK}:{self.ports[0]}"

    @property
    def http(self) -> str:
        return f"http://{LOOPBACK}:{self.ports[1]}"

    def launch(self, name: str, roles: Iterable[str], *flags: str) -> ServeProcess:
        """Start a process without waiting; one that had this name is followed by it in its folder."""
        data, log = self.folder / name, self.folder / f"{name}.log"
        argv = [*CLI, "serve", *roles, "--config", str(self.config), "--data-dir", str(data), *flags]
        with log.open("a") as errors:
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(os.environ))
        self.processes[name] = ServeProcess(name, tuple(roles), log, process)
        return self.processes[name]

    def restart(self, name: str) -> ServeProcess:
        """Start `name` again, after it has ended."""
        former = self.processes[name]
        former.close()
        again = self.launch(name, former.roles)
        again.wait_until_serving()
        return again

    def channel(self, **options: Any) -> grpc.aio.Channel:
        """To the edge."""
        return grpc.aio.insecure_channel(self.target, options=list(options.items()))

    def log(self) -> str:
        """What all processes have said."""
        return "\n".join(f"== {one.name}\n{one.log.read_text()}" for one in self.processes.values())


@contextmanager
def small_cluster(
    processes: Mapping[str, tuple[str, ...]] = PROCESSES, *, broker: bool = False, **sections: Mapping[str, Any]
) -> Iterator[Cluster]:
    """A cluster inside a `with`, once every process of `processes` serves; `sections` of cluster.toml over the usual ones."""
    with ExitStack() as stack:
        starting: list[AbstractContextManager[Any]] = [etcd_server(), postgres_server()]
        etcd, postgres, *rest = entered([*starting, *([kafka_server()] if broker else [])], stack)
        kafka = rest[0] if rest else None
        # Sockets' paths are short, pytest's folders are not.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cluster-")))
        ports = free_ports(LOOPBACK, (0, 0))
        socket = folder / "mesh.sock"
        usual: dict[str, Mapping[str, Any]] = {
            "etcd": {"endpoints": [etcd.endpoint]},
            "postgres": {"url": postgres.url},
            "artifacts": {"url": str(folder / "artifacts")},
            "mesh": {"socket": str(socket), "propagation_s": 0.5},
            "edge": {"port": ports[0], "more_ports": [ports[1]]},
        }
        if kafka is not None:
            usual["kafka"] = {"brokers": [kafka.address]}
        whole = {name: {**usual.get(name, {}), **sections.get(name, {})} for name in {**usual, **sections}}
        config = folder / "cluster.toml"
        config.write_text(toml(whole))
        cluster = Cluster(
            etcd=etcd, postgres=postgres, kafka=kafka, folder=folder, config=config, ports=(ports[0], ports[1]), socket=socket
        )
        stack.callback(_close, cluster)
        for name, roles in processes.items():
            cluster.launch(name, roles)
        for process in list(cluster.processes.values()):
            process.wait_until_serving()
        yield cluster


def until(answered: Any, *, within: float = 30.0) -> None:
    """Return once `answered()` is true.

    Raises:
        AssertionError: it was not, `within` seconds.
    """
    deadline = time.monotonic() + within
    while not answered():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def entered(managers: list[AbstractContextManager[Any]], stack: ExitStack) -> list[Any]:
    """What the managers give, entered beside each other."""
    with ThreadPoolExecutor(len(managers)) as threads:
        entering = [threads.submit(manager.__enter__) for manager in managers]
    for manager, entered in zip(managers, entering, strict=True):
        if entered.exception() is None:
            stack.push(manager.__exit__)
    return [entered.result() for entered in entering]


def _close(cluster: Cluster) -> None:
    """All at once: a cluster that is thrown away owes nobody an orderly end."""
    for process in cluster.processes.values():
        if process.process.poll() is None:
            process.process.send_signal(signal.SIGTERM)
    for process in cluster.processes.values():
        process.close()


def toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Strings, numbers, truths and lists of them are the same in TOML and in JSON."""
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
        for name, section in sections.items()
    )
