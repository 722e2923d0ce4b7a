"""Envoy killed and stalled, signals while everything streams, and the whole platform stalled or killed in its work."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from synapsenet.testing.onnx_models import exact_model, exact_weights
from synapsenet_client import Client, SynapseNetError, Unavailable, connect
from tests.chaos.served_model import NAME, rows, serve
from tests.chaos.traffic import PATIENCE_S, ROWS, TRAFFIC, Scene, Streaming, Traffic, eventually, upload, watch, write_features
from tests.live import LivePlatform, live_platform

GONE_WITHIN_S = 2.0
DRAIN_S = 2.0
EXIT_RATIO = 5  # what an exit with open streams may take beyond the drain, against the exit of an idle platform in the same run
SHORT_DRAIN = {"SYNAPSENET_SERVER__DRAIN_S": str(DRAIN_S)}
READY = (200, {"ready": True})


def envoy(platform: LivePlatform) -> psutil.Process | None:
    """The edge's process; None while there is none."""
    return next((child for child in platform.children() if child.name() == "envoy"), None)


def answers(platform: LivePlatform) -> bool:
    """Whether the edge, at its first address, passes a call on."""
    try:
        return platform.get("/v2/health/ready") == READY
    except OSError:
        return False


def test_an_envoy_that_is_killed_comes_back_at_its_address_and_grpc_does_not_notice(tmp_path: Path) -> None:
    with live_platform(tmp_path) as platform, connect(platform.grpc) as client:
        first = envoy(platform)
        assert first is not None
        with client.inference.watch_deployments() as watched:
            first.kill()
            client.models.create("meanwhile")
            assert eventually(lambda: answers(platform))
            second = envoy(platform)
            assert second is not None
            assert second.pid != first.pid
            second.suspend()
            client.models.create("beside-one-that-stands-still")
            second.resume()
            assert answers(platform)
            serve(client)
            assert next(watched).type == "ModelDeployed"


def test_an_envoy_that_dies_again_and_again_ends_the_platform_with_one_sentence(tmp_path: Path) -> None:
    with live_platform(tmp_path) as platform:
        while platform.process.poll() is None:
            if edge := envoy(platform):
                edge.kill()
            time.sleep(0.02)
        assert platform.process.returncode == 1
        said = [line for line in platform.log().splitlines() if line.startswith("error: ")]
        assert len(said) == 1
        assert said[0].startswith("error: envoy was killed by SIGKILL")
        assert said[0].endswith(
            "and its restarts are spent: see logs/envoy.log in the data folder, then start again [CHILD_DIED]"
        )
        assert "Traceback" not in platform.log()
        assert not [child for child in psutil.process_iter() if child.ppid() == platform.process.pid]
    with live_platform(tmp_path) as platform:
        assert answers(platform)


@pytest.fixture
def idle_exit_s(tmp_path: Path) -> float:
    """Seconds that a platform without any call takes to end, now and on this machine."""
    with live_platform(tmp_path / "idle") as platform:
        begun = time.monotonic()
        assert platform.stop() == 0
        return time.monotonic() - begun


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_platform_that_stops_while_everything_streams_tells_its_callers_and_ends_within_its_drain(
    asked: signal.Signals, idle_exit_s: float, tmp_path: Path
) -> None:
    with (
        live_platform(tmp_path, env=SHORT_DRAIN) as platform,
        connect(platform.grpc) as client,
    ):
        scene = Scene(platform, client)
        streams = [Streaming(traffic, scene, platform.grpc) for traffic in TRAFFIC if traffic is not watch]
        streams += [Streaming(watch, scene, target) for target in (platform.grpc, platform.http)]
        assert all(stream.begun() for stream in streams)
        children = platform.children()
        begun = time.monotonic()
        platform.process.send_signal(asked)
        for stream in streams[-2:]:
            assert_told(stream.ended())
        assert time.monotonic() - begun < DRAIN_S
        assert platform.process.wait(30) == 0
        assert time.monotonic() - begun < DRAIN_S + EXIT_RATIO * idle_exit_s
        assert {type(stream.ended()) for stream in streams} == {Unavailable}, [repr(stream.ended()) for stream in streams]
        _, alive = psutil.wait_procs(children, timeout=GONE_WITHIN_S)
        assert alive == []
        assert platform.log() == ""


def assert_told(error: SynapseNetError | None) -> None:
    """A watcher hears from the platform itself that it stops."""
    assert isinstance(error, Unavailable)
    assert error.reason == "SERVER_STOPPING"
    assert str(error) == "the platform is stopping: retry once it runs again"


def test_a_second_ctrl_c_waits_for_nobody(idle_exit_s: float, tmp_path: Path) -> None:
    with live_platform(tmp_path, env={"SYNAPSENET_SERVER__DRAIN_S": "60"}) as platform, connect(platform.grpc) as client:
        scene = Scene(platform, client)
        streams = [Streaming(traffic, scene, platform.grpc) for traffic in (write_features, upload)]
        assert all(stream.begun() for stream in streams)
        platform.process.send_signal(signal.SIGINT)
        with pytest.raises(psutil.TimeoutExpired):
            psutil.Process(platform.process.pid).wait(1)
        begun = time.monotonic()
        platform.process.send_signal(signal.SIGINT)
        assert platform.process.wait(30) == 0
        assert time.monotonic() - begun < EXIT_RATIO * idle_exit_s
        assert all(isinstance(stream.ended(), Unavailable) for stream in streams)


def test_a_platform_that_stood_still_goes_on_with_every_call(tmp_path: Path) -> None:
    with live_platform(tmp_path) as platform, connect(platform.grpc) as client:
        serve(client)
        process = psutil.Process(platform.process.pid)
        with client.inference.watch_deployments() as watched:
            assert next(watched).type == "ModelDeployed"
            process.suspend()
            with pytest.raises(SynapseNetError, match="within 1 s"):
                client.within(1.0).models.create("late")
            process.resume()
            assert client.inference.predict(NAME, rows()).batch_rows == 1
            assert answers(platform)
            serve(client, "another")
            assert next(watched).deployment.model_name == "another"


@pytest.mark.parametrize("traffic", [upload, write_features], ids=lambda traffic: traffic.__name__)
def test_kill_9_while_a_stream_is_taken_in_leaves_no_half_of_anything(traffic: Traffic, tmp_path: Path) -> None:
    with live_platform(tmp_path) as platform, connect(platform.grpc) as client:
        scene = Scene(platform, client)
        stream = Streaming(traffic, scene, platform.grpc)
        assert stream.begun()
        platform.kill()
        assert isinstance(stream.ended(), Unavailable)
    with live_platform(tmp_path) as platform, connect(platform.grpc) as client:
        assert eventually(lambda: answers(platform))
        assert not client.registry.get_version(scene.model, scene.version).artifact.sha256
        assert list((tmp_path / "artifacts" / "incoming").iterdir()) == []
        client.registry.upload(scene.model, scene.version, exact_model(), format="ONNX")
        assert client.registry.read_artifact(scene.model, scene.version) == exact_model()
        read = client.features.read(["numbers:number"], {"entity": np.arange(1_000)})
        assert [int(value) for value in read.values["numbers:number"]] == list(range(1_000))
        assert list(client.inference.predict(NAME, rows()).outputs["label"]) == [expected_label()]


def expected_label() -> int:
    """What the exact model says of ones."""
    weights, bias = exact_weights()
    return int(np.argmax(weights.sum(axis=0) + bias))


class Acknowledged:
    """Things asked for one after another in a thread of its own, noted once the platform acknowledged them.

    Attributes:
        names: of what was acknowledged.
    """

    def __init__(self, target: str, make: Callable[[Client, int], str]) -> None:
        self.names: list[str] = []
        self._thread = threading.Thread(target=self._ask, args=(target, make), daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Return once the platform answers no more."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _ask(self, target: str, make: Callable[[Client, int], str]) -> None:
        with connect(target) as client, suppress(Unavailable):
            for number in range(10_000):
                self.names.append(make(client, number))


def deploy(client: Client, number: int) -> str:
    serve(client, f"model-{number}")
    return f"model-{number}"


def build(client: Client, _: int) -> str:
    instants = [1_700_000_000_000_001]
    return str(client.features.build_training_set({"entity": np.arange(ROWS)}, instants, ["numbers:number"]).id)


def test_kill_9_while_models_are_deployed_and_training_sets_built_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    with live_platform(tmp_path) as platform, connect(platform.grpc) as client:
        Scene(platform, client)
        deployed, built = Acknowledged(platform.grpc, deploy), Acknowledged(platform.grpc, build)
        assert eventually(lambda: len(deployed.names) >= 3 and len(built.names) >= 2)
        platform.kill()
        deployed.join()
        built.join()
    with live_platform(tmp_path) as platform, connect(platform.grpc) as client:
        assert eventually(lambda: answers(platform))
        for name in deployed.names:
            assert client.inference.predict(name, rows()).batch_rows == 1
        sizes = {each.id: each.size_bytes for each in client.features.list_training_sets()}
        assert set(built.names) <= set(sizes)
        assert all(len(client.features.read_training_set(each)) == size for each, size in sizes.items())
