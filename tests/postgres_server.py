"""PostgreSQL servers for tests."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from synapsenet_servers.backends.backend import Backend
from synapsenet_servers.backends.postgres import forget_killed, postgres
from synapsenet_servers.children.launcher import environment
from synapsenet_servers.mesh.ports import free_port
from tests.backends import STOP_S, end, wait_until_ready

LOOPBACK = "127.0.0.1"


@dataclass(slots=True, kw_only=True)
class RunningPostgres:
    """A server while a test has it.

    Attributes:
        url: of its database, over its Unix socket, as its superuser.
        port: on 127.0.0.1, where it wants the password that lies in `password`.
    """

    backend: Backend
    port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return self.backend.address

    @property
    def data(self) -> Path:
        return self.backend.cwd / "data"

    @property
    def password(self) -> Path:
        return self.backend.cwd / "password"

    @property
    def postmaster(self) -> int:
        """The id of the server's first process."""
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT closes the sessions first, SIGQUIT ends at once and leaves recovery to the next start."""
        self.process.send_signal(how)
        self.process.wait(STOP_S)

    def kill(self) -> None:
        """As a power failure: nobody gets to say or write anything any more."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_S)

    def start(self) -> None:
        """Start it again, until it takes requests."""
        forget_killed(self.data)
        self.process = _started(self.backend, self.log)
        wait_until_ready(self.backend, self.process, self.log)


def _started(backend: Backend, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            backend.argv, cwd=backend.cwd, env=environment(**backend.env), stdout=output, stderr=subprocess.STDOUT
        )


@contextmanager
def postgres_server(folder: Path | None = None) -> Iterator[RunningPostgres]:
    """A server of its own inside a `with`, in a temporary folder or in `folder`."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as short:
        sockets, port = Path(short) / "s", free_port(LOOPBACK, 0)
        sockets.mkdir(mode=0o700)
        backend = postgres(folder or Path(short) / "postgres", sockets=sockets, port=port)
        log = backend.cwd / "log"
        running = RunningPostgres(backend=backend, port=port, log=log, process=_started(backend, log))
        try:
            wait_until_ready(backend, running.process, log)
            yield running
        finally:
            if running.process.poll() is None:
                running.process.send_signal(signal.SIGCONT)
                running.process.send_signal(signal.SIGQUIT)
            end(running.process)
