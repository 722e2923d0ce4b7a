"""One live platform that tells of itself in every way, for all tests of this folder."""

from __future__ import annotations

import json
import secrets
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.live import LivePlatform, live_platform
from tests.otlp_collector import Collector, otlp_collector


@dataclass(frozen=True)
class TellingPlatform:
    """A platform, the collector that it sends to, and its page for Prometheus."""

    live: LivePlatform
    collector: Collector
    page: str

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        sent = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.live.request("POST", path, json.dumps(body).encode(), sent)

    def metrics(self) -> str:
        with urllib.request.urlopen(self.page, timeout=30) as answer:
            text: str = answer.read().decode()
        return text


def new_trace(*, sampled: bool = True) -> tuple[str, str, str]:
    """The id of a trace, that of the caller's span in it, and the header that says so."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, f"00-{trace}-{span}-{'01' if sampled else '00'}"


@pytest.fixture(scope="session")
def telling() -> Iterator[TellingPlatform]:
    settings = {
        "SYNAPSENET_TELEMETRY__PROMETHEUS": "127.0.0.1:0",
        "SYNAPSENET_TELEMETRY__LOG_FORMAT": "json",
        "SYNAPSENET_TELEMETRY__LOG_LEVEL": "info",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    with (
        tempfile.TemporaryDirectory() as data,
        otlp_collector() as collector,
        live_platform(Path(data), env=settings | collector.variables()) as live,
    ):
        assert live.process.stdout is not None
        page = live.process.stdout.readline().split()[1]
        yield TellingPlatform(live, collector, page)
