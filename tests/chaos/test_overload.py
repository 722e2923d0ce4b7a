"""Everything that has a bound, filled to it: one more is refused with the time to come back, and room comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import grpc
import pytest

from synapsenet.testing.onnx_models import exact_model
from synapsenet_api.inference.v1.deployment_pb2 import BatchingPolicy
from synapsenet_api.models.v1 import model_service_pb2 as models_pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_client import Client, ResourceExhausted, connect, job_spec
from tests.chaos.served_model import register, rows
from tests.chaos.traffic import PATIENCE_S, Scene, Streaming, eventually, upload
from tests.live import live_platform

CALLS = 100
UPLOADS = 2
QUEUED_JOBS = 1
LINGER_S = 1.0
EDGE_CONNECTIONS = 8  # what the edge may keep open to the platform once it has needed them

TOLD = {"the server has all the calls it takes: retry", "the edge has all the calls it takes: retry"}

BOUNDS = {
    "SYNAPSENET_SERVER__LIMITS__CONCURRENT_CALLS": str(CALLS),
    "SYNAPSENET_REGISTRY__UPLOADS": str(UPLOADS),
    "SYNAPSENET_TRAINING__CONCURRENT_JOBS": "1",
    "SYNAPSENET_TRAINING__QUEUED_JOBS": str(QUEUED_JOBS),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with live_platform(tmp_path_factory.mktemp("data"), env=BOUNDS) as platform, connect(platform.grpc) as client:
        yield Scene(platform, client)
        assert "Traceback" not in platform.log()


def assert_busy(refusal: pytest.ExceptionInfo[ResourceExhausted], reason: str) -> None:
    """It names its bound and says when to come back."""
    assert refusal.value.reason == reason
    assert refusal.value.retry_after is not None
    assert 0 < refusal.value.retry_after <= 10


def test_a_full_queue_of_a_model_refuses_and_takes_again_once_its_batch_has_run(scene: Scene) -> None:
    client = scene.client
    version = register(client, "slow")
    linger = BatchingPolicy(max_batch_size=64, max_queued_rows=4)
    linger.max_linger.FromTimedelta(timedelta(seconds=LINGER_S))
    client.inference.deploy(client.models.get("slow").id, version, batching=linger)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(client.inference.predict, "slow", rows(4))
        assert eventually(lambda: any(model.batcher.queued_rows == 4 for model in client.inference.list_loaded()))
        with pytest.raises(ResourceExhausted) as refusal:
            client.inference.predict("slow", rows(1))
        assert_busy(refusal, "QUEUE_FULL")
        assert first.result(PATIENCE_S).batch_rows == 4
    assert client.inference.predict("slow", rows(1)).batch_rows == 1


def test_full_slots_of_uploads_refuse_and_take_again_once_one_is_free(scene: Scene) -> None:
    client = scene.client
    version = client.registry.create_version(scene.model).version
    streams = [Streaming(upload, scene, scene.platform.grpc) for _ in range(UPLOADS)]
    assert all(stream.begun() for stream in streams)
    with pytest.raises(ResourceExhausted) as refusal:
        client.registry.upload(scene.model, version, exact_model(), format="ONNX")
    assert_busy(refusal, "UPLOADS_BUSY")
    for stream in streams:
        stream.leave()
    assert eventually(lambda: takes_the_upload(client, scene.model, version))


def takes_the_upload(client: Client, model: str, version: int) -> bool:
    try:
        return bool(client.registry.upload(model, version, exact_model(), format="ONNX").artifact.sha256)
    except ResourceExhausted:
        return False


def test_a_full_queue_of_jobs_refuses_and_takes_again_once_one_is_cancelled(scene: Scene) -> None:
    training = scene.client.training
    spec = job_spec(
        entry_point="mlp",
        training_set_id=scene.training_set,
        inputs=["numbers:number"],
        target="numbers:number",
        steps=10_000_000,
        batch_size=8,
        learning_rate=0.01,
        arguments={"inputs": 1, "hidden": [4], "classes": 2},
    )
    running = training.create(spec)
    assert eventually(lambda: training.get(running.id).state != running.state)
    queued = training.create(spec)
    with pytest.raises(ResourceExhausted) as refusal:
        training.create(spec)
    assert_busy(refusal, "JOBS_QUEUED")
    training.cancel(queued.id)
    training.cancel(training.create(spec).id)
    training.cancel(running.id)
    assert not [child for child in scene.platform.children() if child.name() != "envoy"]


def test_calls_over_the_bound_are_refused_and_others_taken_once_there_is_room(scene: Scene) -> None:
    with ExitStack() as stack:
        for _ in range(CALLS):
            next(stack.enter_context(scene.client.inference.watch_deployments()))
        with pytest.raises(ResourceExhausted) as refusal:
            scene.client.models.get("uploaded")
        assert_busy(refusal, "SERVER_BUSY")
    assert eventually(lambda: is_taken(scene.client))


def is_taken(client: Client) -> bool:
    try:
        return bool(client.models.get("uploaded").id)
    except ResourceExhausted:
        return False


@pytest.mark.parametrize("edge", [False, True], ids=["direct", "edge"])
def test_200_connections_with_20_calls_each_are_all_answered_or_told_to_come_back(scene: Scene, edge: bool) -> None:
    """At once, and far over the bound; what is refused is asked again."""
    request = models_pb.GetModelRequest(model_id="uploaded")
    target = scene.platform.http if edge else scene.platform.grpc
    before = scene.held()
    with ExitStack() as stack:
        own = [("grpc.use_local_subchannel_pool", 1)]
        stubs = [ModelServiceStub(stack.enter_context(grpc.insecure_channel(target, own))) for _ in range(200)]
        left = [stub for stub in stubs for _ in range(20)]
        until = time.monotonic() + PATIENCE_S
        while left and time.monotonic() < until:
            calls = [(stub, stub.GetModel.future(request, timeout=PATIENCE_S)) for stub in left]
            told = {call.details() for _, call in calls if call.code() is not grpc.StatusCode.OK}
            assert told <= TOLD, told
            left = [stub for stub, call in calls if call.code() is not grpc.StatusCode.OK]
        assert not left
        if not edge:
            assert len(scene.process.net_connections("tcp")) > 200
    kept = EDGE_CONNECTIONS if edge else 0
    assert eventually(lambda: scene.held()[0] <= before[0] + kept), (before, scene.held())
