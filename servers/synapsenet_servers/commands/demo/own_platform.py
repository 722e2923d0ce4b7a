"""A platform for the time of the demo: `synapsenet dev` as a child process on free ports."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synapsenet.errors import Unavailable

_STOP_S = 30.0
_PROBE_S = 2.0


@contextmanager
def own_platform(data: Path) -> Iterator[tuple[str, str]]:
    """The addresses (gRPC, HTTP) of a platform on the folder `data`, stopped at the end of the `with`.

    Raises:
        Unavailable: PLATFORM_NOT_STARTED; the child has told why on stderr.
    """
    command = [sys.executable, "-m", "synapsenet_cli", "dev", "--port", "0", "--http-port", "0", "--data-dir", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield _address(child.stdout.readline()), _address(child.stdout.readline()).removeprefix("http://")
        finally:
            _stop(child)


def _address(line: str) -> str:
    """The address in a line such as `gRPC  127.0.0.1:7400`."""
    if not line:
        raise Unavailable("PLATFORM_NOT_STARTED", "the platform did not start", remedy="see the sentence above")
    return line.split()[1]


def _stop(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()


def http_address(target: str, *, default_port: int) -> str:
    """Where the platform at `target` answers HTTP: there if its edge listens there, else at the default port beside it."""
    host, _, port = target.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _PROBE_S) as connection:
            connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if connection.recv(5) == b"HTTP/":
                return target
    except (OSError, ValueError):
        return target
    return f"{host}:{default_port}"
