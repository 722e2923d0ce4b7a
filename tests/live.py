"""`synapsenet dev`, or `up`, as a process of its own, for the tests that use the platform as people do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil

START_S = 60.0
STOP_S = 30.0
CLI = (sys.executable, "-m", "synapsenet_cli")


class LivePlatform:
    """A running `synapsenet dev` or `up`.

    Attributes:
        grpc: `host:port` of our own gRPC server; of `up`, Envoy's.
        http: `host:port` of Envoy.
        data: its data folder.
    """

    def __init__(self, process: subprocess.Popen[str], errors: IO[str], grpc: str, http: str, data: Path) -> None:
        self.process = process
        self._errors = errors
        self.grpc = grpc
        self.http = http
        self.data = data

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON of GET through Envoy."""
        return self.request("GET", path)

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON of POST through Envoy."""
        return self.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON, or text if it is none, of one HTTP request through Envoy."""
        request = urllib.request.Request(f"http://{self.http}{path}", body, dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _parsed(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _parsed(error.read())

    def log(self) -> str:
        """What it has written on stderr so far."""
        descriptor = self._errors.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

    def children(self) -> list[psutil.Process]:
        """All processes below it."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> int:
        """SIGINT, as Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_S)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return body.decode("utf-8", "replace")


@contextmanager
def live_platform(
    data: Path, *, env: dict[str, str] | None = None, port: str = "0", profile: str = "dev"
) -> Iterator[LivePlatform]:
    """A platform on free ports, or gRPC on `port`, and the folder `data`; ended, if it still runs, at the end of the `with`.

    Args:
        profile: the command that runs it: `dev` or `up`.
    """
    command = [*CLI, profile, "--port", port, "--http-port", "0", "--data-dir", str(data)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **(env or {})}
        ) as process,
    ):
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline().split() for _ in range(3)]
            if not all(lines):
                process.wait(START_S)
                errors.seek(0)
                raise AssertionError(f"the platform did not start: {errors.read()}")
            yield LivePlatform(process, errors, lines[0][1], lines[1][1].removeprefix("http://"), Path(lines[2][1]))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
