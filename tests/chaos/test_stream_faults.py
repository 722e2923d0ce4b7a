"""Clients that vanish in the middle of a stream, stop reading, or lose their connection: nobody notices, nothing is kept."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from synapsenet.testing.onnx_models import exact_model
from synapsenet_client import Unavailable, connect
from tests.chaos.cutting_proxy import cutting_proxy
from tests.chaos.served_model import NAME, endless_rows, rows
from tests.chaos.traffic import PATIENCE_S, TRAFFIC, Scene, Streaming, Traffic, eventually, watch
from tests.live import live_platform

CALLS = 12
CLIENTS = 2
ROUNDS = 3
SOAK_S = float(os.environ.get("CHAOS_SOAK_S", "6"))
MEMORY_BYTES = 64 << 20
EDGE_CONNECTIONS = 4  # what the edge may keep open to the platform once it has needed them

# So few that a call, or an upload's slot, which outlived its client would soon be missed.
BOUNDS = {
    "SYNAPSENET_SERVER__LIMITS__CONCURRENT_CALLS": str(CALLS),
    "SYNAPSENET_REGISTRY__UPLOADS": str(CLIENTS),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with live_platform(tmp_path_factory.mktemp("data"), env=BOUNDS) as platform, connect(platform.grpc) as client:
        yield Scene(platform, client)
        assert "Traceback" not in platform.log()


@pytest.mark.parametrize("traffic", TRAFFIC, ids=lambda traffic: traffic.__name__)
def test_clients_that_vanish_in_the_middle_leave_nothing_behind(traffic: Traffic, scene: Scene) -> None:
    vanish(traffic, scene)  # what is opened once, at first use, is open
    before = scene.held()
    for _ in range(ROUNDS):
        vanish(traffic, scene)
    assert eventually(lambda: scene.held() <= before), (before, scene.held())
    assert_all_calls_are_free(scene)


def vanish(traffic: Traffic, scene: Scene) -> None:
    """Have clients stream, and reset their connections."""
    with cutting_proxy(scene.platform.grpc) as proxy:
        streams = [Streaming(traffic, scene, proxy.address) for _ in range(CLIENTS)]
        assert all(stream.begun() for stream in streams)
        proxy.close()
        assert [type(stream.ended()) for stream in streams] == [Unavailable] * CLIENTS


def assert_all_calls_are_free(scene: Scene) -> None:
    """As many calls as the server takes are taken: none is held by somebody who is gone."""
    with ExitStack() as stack:
        for _ in range(CALLS - 1):
            client = stack.enter_context(connect(scene.platform.grpc))
            next(stack.enter_context(client.inference.watch_deployments()))
        scene.client.inference.predict(NAME, rows())


def test_the_slots_of_uploads_that_vanished_are_free(scene: Scene) -> None:
    version = scene.client.registry.create_version(scene.model).version
    uploaded = scene.client.registry.upload(scene.model, version, exact_model(), format="ONNX")
    assert uploaded.artifact.size_bytes == len(exact_model())


def test_readers_that_stop_to_read_bound_the_memory_and_hold_nobody_up(scene: Scene) -> None:
    """Of each kind one client asks for without end and takes one answer."""
    client = scene.client
    batch = {"entity": list(range(10_000))}
    before = scene.memory()
    with (
        client.features.read_stream(["numbers:number"], iter(lambda: batch, None)) as values,
        client.inference.predict_stream(NAME, endless_rows(10_000)) as predictions,
    ):
        next(values)
        next(predictions)
        for _ in range(10):
            asked = time.monotonic()
            assert client.models.get("uploaded").name == "uploaded"
            assert time.monotonic() - asked < 2
            time.sleep(0.1)
        grown = scene.memory() - before
    assert grown < MEMORY_BYTES + 64 * 2 * 10_000 * 32, f"{grown >> 20} MiB"
    assert_all_calls_are_free(scene)


def test_a_connection_that_is_cut_again_and_again_costs_no_acknowledged_creation_and_makes_none_twice(scene: Scene) -> None:
    made: list[str] = []
    until = time.monotonic() + PATIENCE_S
    over = threading.Event()
    with cutting_proxy(scene.platform.grpc) as proxy, connect(proxy.address) as client:

        def cut() -> None:
            while not over.wait(0.1):
                proxy.cut()

        cutting = threading.Thread(target=cut)
        cutting.start()
        try:
            for name in map("cut-{}".format, range(10_000)):
                if len(made) == 50 or time.monotonic() > until:
                    break
                try:
                    client.models.create(name)  # a retry of what was made already is no ALREADY_EXISTS
                except Unavailable:
                    continue
                made.append(name)
        finally:
            over.set()
            cutting.join()
    found = [model.name for model in scene.client.models.list(name_prefix="cut-", page_size=1_000)]
    assert len(found) == len(set(found))
    assert set(made) <= set(found)
    assert len(made) == 50


@pytest.mark.timeout(2 * SOAK_S + 120)
def test_mixed_traffic_whose_clients_die_at_random_leaves_memory_and_files_as_they_were(tmp_path: Path) -> None:
    """Short here; CHAOS_SOAK_S=180 makes it long."""
    chance = random.Random(7)
    with live_platform(tmp_path) as platform, connect(platform.grpc) as client:
        scene = Scene(platform, client)
        soak(scene, chance, SOAK_S / 2)  # what a platform takes once, it has taken
        held, memory, threads = scene.held(), scene.memory(), scene.process.num_threads()
        soak(scene, chance, SOAK_S)
        assert eventually(lambda: scene.held()[0] <= held[0] + EDGE_CONNECTIONS), (held, scene.held())
        assert eventually(lambda: scene.held()[1] == 0)
        grown = scene.memory() - memory
        assert grown < MEMORY_BYTES, f"{grown >> 20} MiB"
        assert scene.process.num_threads() <= threads + 8
        assert platform.get("/v2/health/ready") == (200, {"ready": True})
        assert "Traceback" not in platform.log()


def soak(scene: Scene, chance: random.Random, lasting: float) -> None:
    """Clients of every kind but those that only wait, each in the middle of its stream when its connection is cut."""
    until = time.monotonic() + lasting
    while time.monotonic() < until:
        with cutting_proxy(chance.choice([scene.platform.grpc, scene.platform.http])) as proxy:
            streams = [Streaming(chance.choice(TRAFFIC), scene, proxy.address) for _ in range(3)]
            streams.append(Streaming(watch, scene, proxy.address))
            time.sleep(chance.uniform(0.05, 0.6))
            proxy.close()
            for stream in streams:
                stream.ended()
