"""Brokers of Kafka's protocol for tests: one that keeps messages, on a free port, to be killed and paused."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synapsenet_servers.backends.kafka import kafka_backend
from synapsenet_servers.children.launcher import environment
from synapsenet_servers.mesh.ports import free_port
from tests.backends import wait_until_ready

LOOPBACK = "127.0.0.1"
KILLED_S = 10.0


class KafkaServer:
    """One broker, started and ended at will on the same port; what it was given is gone when it ends.

    Attributes:
        port: on which it listens, on loopback.
        address: `host:port` for clients.
    """

    def __init__(self, folder: Path, *, port: int, advertised: str = "") -> None:
        self._backend = kafka_backend(port=port, folder=folder, advertised=advertised)
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port
        self.address = self._backend.address

    def start(self) -> None:
        """Start it and return once it takes requests."""
        backend = self._backend
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                backend.argv, cwd=backend.cwd, env=environment(**backend.env), stdout=output, stderr=subprocess.STDOUT
            )
        wait_until_ready(backend, self._process, self._log)

    def kill(self) -> None:
        """SIGKILL: asked to end, it would wait for its clients, and it has nothing to save."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(KILLED_S)
            self._process = None

    def pause(self) -> None:
        """SIGSTOP, as a host that hangs; returns once no thread of it runs any more: one might still acknowledge."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + KILLED_S
        while not all(_is_stopped(task) for task in Path(f"/proc/{self._process.pid}/task").iterdir()):
            assert time.monotonic() < deadline, "it does not stop"
            time.sleep(0.001)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def _is_stopped(task: Path) -> bool:
    """Whether a thread is stopped by a signal, or has ended; the state follows the name in parentheses (proc(5))."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def kafka_server(*, port: int = 0) -> Iterator[KafkaServer]:
    """A broker on `port`, or a free one, ready inside the `with`."""
    with tempfile.TemporaryDirectory(prefix="kafka-") as folder:
        server = KafkaServer(Path(folder), port=port or free_port(LOOPBACK, 0))
        try:
            server.start()
            yield server
        finally:
            server.kill()
