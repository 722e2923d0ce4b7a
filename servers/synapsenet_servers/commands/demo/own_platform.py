"""A platform for the time of the demo: `synapsenet dev` as a child process on free ports."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synapsenet.errors import Unavailable

_STOP_S = 30.0
_PROBE_S = 2.0
_TOLD_S = 5.0  # by when a connection has told of its other end's death


@contextmanager
def own_platform(data: Path) -> Iterator[tuple[str, str]]:
    """The addresses (gRPC, HTTP) of a platform on the folder `data`, stopped at the end of the `with`.

    Raises:
        Unavailable: PLATFORM_NOT_STARTED or PLATFORM_DIED; the child has told why on stderr.
    """
    command = [sys.executable, "-m", "synapsenet_cli", "dev", "--port", "0", "--http-port", "0", "--data-dir", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        is_over = threading.Event()
        try:
            addresses = _address(child.stdout.readline()), _address(child.stdout.readline()).removeprefix("http://")
            threading.Thread(target=_interrupt_at_death, args=(child, is_over), daemon=True).start()
            yield addresses
        except KeyboardInterrupt:
            if child.poll() is None:
                raise
            raise Unavailable(
                "PLATFORM_DIED", f"the platform ended with {child.returncode}", remedy="see the lines above, and try again"
            ) from None
        finally:
            is_over.set()
            _stop(child)


def _interrupt_at_death(child: subprocess.Popen[str], is_over: threading.Event) -> None:
    """Let nobody wait for the answer of a platform that is gone, should the connection not have told."""
    child.wait()
    if not is_over.wait(_TOLD_S):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


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
