"""Servers of others, started for a test or a session of tests, and ended by their id."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synapsenet_servers.backends.backend import Backend
from synapsenet_servers.children.launcher import environment

START_S = 30.0
STOP_S = 10.0


@contextmanager
def running(backend: Backend, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`backend` inside a `with`, once it takes requests; its output goes to `log`.

    Raises:
        RuntimeError: it ended or was not ready in time, with the end of its log.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            backend.argv, cwd=backend.cwd, env=environment(**backend.env), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until_ready(backend, process, log)
        yield process
    finally:
        end(process)


def wait_until_ready(backend: Backend, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once `backend` takes requests."""
    deadline = time.monotonic() + START_S
    while not backend.ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{backend.name} did not start:\n{log.read_text(errors='replace')[-2_000:]}")
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL for one that does not hear."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)
