"""Opening telemetry: nothing where nothing is asked for, and clear words for what cannot be had."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from synapsenet.errors import FailedPrecondition, InvalidArgument
from synapsenet_servers import telemetry
from synapsenet_servers.telemetry import TelemetryOptions

ASKED_FOR_NOTHING = """
import json, sys, threading
from synapsenet_servers import telemetry
from synapsenet_servers.telemetry import TelemetryOptions
with telemetry.open(TelemetryOptions(), service="dev") as opened:
    from synapsenet_servers.server import Server
    from synapsenet_servers.server_options import ServerOptions
    from synapsenet_servers.mesh.channels import open_channel
    print(json.dumps({
        "is off": opened is telemetry.OFF,
        "threads": threading.active_count(),
        "imported": sorted(name for name in sys.modules if name.startswith(("opentelemetry", "prometheus_client"))),
        "interceptors": len(opened.server_interceptors(["grpc.health.v1.Health"])) + len(opened.channel_interceptors()),
    }))
"""


@pytest.fixture(autouse=True)
def own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test change how the others log, or be told by this machine's environment where to send things."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers[:], root.level = handlers, level


def test_where_nothing_is_asked_for_nothing_is_imported_started_or_put_in_the_way_of_a_call() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", ASKED_FOR_NOTHING]
    told = subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=60).stdout
    assert json.loads(told) == {"is off": True, "threads": 1, "imported": [], "interceptors": 0}


def test_the_sdk_disabled_is_nothing_even_with_a_page_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with telemetry.open(TelemetryOptions(prometheus="127.0.0.1:0"), service="x") as opened:
        assert opened is telemetry.OFF


def test_json_logs_have_spans_for_their_ids_that_go_nowhere() -> None:
    with telemetry.open(TelemetryOptions(log_format="json"), service="x") as opened:
        assert opened.tracer is not None
        assert not opened.exports
        assert opened.instruments is None


def test_what_is_open_is_current_until_it_is_closed() -> None:
    with telemetry.open(TelemetryOptions(prometheus="127.0.0.1:0"), service="x") as opened:
        assert telemetry.current() is opened
        assert opened.metrics_address.startswith("127.0.0.1:")
    assert telemetry.current() is telemetry.OFF


def test_an_exporter_that_is_not_installed_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(InvalidArgument) as refused, telemetry.open(TelemetryOptions(), service="x"):
        pass
    assert refused.value.reason == "TELEMETRY_INVALID"
    assert "zipkin" in refused.value.public
    assert "otlp" in refused.value.public


def test_a_port_that_is_taken_is_refused_and_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = TelemetryOptions(prometheus=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(FailedPrecondition) as refused, telemetry.open(options, service="x"):
            pass
    assert refused.value.reason == "PORT_IN_USE"
    assert telemetry.current() is telemetry.OFF


def test_a_collector_that_is_away_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    began = time.monotonic()
    with telemetry.open(TelemetryOptions(flush_s=0.5), service="x") as opened:
        assert opened.tracer is not None
        opened.tracer.start_span("lost").end()
    assert time.monotonic() - began < 5.0


def test_a_collector_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        began = time.monotonic()
        with telemetry.open(TelemetryOptions(flush_s=0.5), service="x") as opened:
            assert opened.tracer is not None
            for _ in range(5_000):  # more than wait for the collector at one time
                opened.tracer.start_span("unheard").end()
            told = time.monotonic()
        ended = time.monotonic()
    assert told - began < 5.0
    assert ended - told < 5.0
