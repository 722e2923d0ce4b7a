"""The asyncio client: the same methods, awaited; nothing of it blocks the loop."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, assert_type

import grpc
import numpy as np
import pytest

from synapsenet_api.models.v1 import model_service_pb2 as models
from synapsenet_api.models.v1.model_pb2 import Model
from synapsenet_api.registry.v1 import registry_service_pb2 as registry
from synapsenet_api.registry.v1.artifact_pb2 import Artifact
from synapsenet_api.registry.v1.version_pb2 import Version
from synapsenet_api.training.v1 import training_service_pb2 as training
from synapsenet_api.training.v1.job_pb2 import Job, JobState
from synapsenet_client import (
    AsyncClient,
    AsyncStream,
    Client,
    DataLoss,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    Options,
    Retries,
    Stream,
    connect_async,
)
from tests.integration.clients.scripted import Listening, Refusal, ScriptedPlatform
from tests.integration.clients.test_sdk_streams import ARTIFACT, pieces, predictions

AREAS = ("features", "monitoring", "models", "registry", "lifecycle", "inference", "experiments", "training")


@pytest.fixture
async def async_client(listening: Listening) -> AsyncIterator[AsyncClient]:
    options = Options(timeout=10.0, retries=Retries(first_backoff=0.01, longest_backoff=0.05))
    async with connect_async(listening.target, options=options) as client:
        yield client


async def test_a_call_is_awaited_and_retried_with_one_request_id(async_client: AsyncClient, platform: ScriptedPlatform) -> None:
    away = Refusal(grpc.StatusCode.UNAVAILABLE, "DRAINING", "the platform is stopping")
    platform.answers["CreateModel"] = [away, models.CreateModelResponse(model=Model(id="mdl-1"))]
    assert (await async_client.models.create("digits")).id == "mdl-1"
    assert len({request.request_id for request in platform.requests}) == 1 < len(platform.requests)


async def test_a_refusal_is_typed(async_client: AsyncClient, platform: ScriptedPlatform) -> None:
    platform.answers["GetModel"] = Refusal(grpc.StatusCode.NOT_FOUND, "MODEL_UNKNOWN", "no model is called digits")
    with pytest.raises(NotFound, match="no model is called digits") as caught:
        await async_client.models.get("digits")
    assert caught.value.reason == "MODEL_UNKNOWN"


async def test_a_list_is_an_asynchronous_iteration_over_pages(async_client: AsyncClient, platform: ScriptedPlatform) -> None:
    platform.answers["ListModels"] = [
        models.ListModelsResponse(models=[Model(name="a")], next_page_token="2"),  # a page's token
        models.ListModelsResponse(models=[Model(name="b")]),
    ]
    assert [model.name async for model in async_client.models.list()] == ["a", "b"]


async def test_an_upload_reads_its_file_off_the_loop(
    async_client: AsyncClient, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    def upload(parts: Iterable[registry.UploadArtifactRequest]) -> registry.UploadArtifactResponse:
        received = b"".join(part.data for part in parts)
        return registry.UploadArtifactResponse(version=Version(description=hashlib.sha256(received).hexdigest()))

    platform.answers["UploadArtifact"] = upload
    file = tmp_path / "model.onnx"
    file.write_bytes(ARTIFACT)
    version = await async_client.registry.upload("digits", 1, file)
    assert version.description == hashlib.sha256(ARTIFACT).hexdigest()
    with pytest.raises(InvalidArgument, match="it cannot be read"):
        await async_client.registry.upload("digits", 1, tmp_path / "missing.onnx")


async def test_a_download_is_checked_and_leaves_nothing_when_it_is_damaged(
    async_client: AsyncClient, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    platform.answers["DownloadArtifact"] = lambda request: pieces(ARTIFACT)
    assert (await async_client.registry.download("digits", 1, tmp_path / "m.onnx")).read_bytes() == ARTIFACT
    platform.answers["DownloadArtifact"] = lambda request: pieces(ARTIFACT[:-1])
    with pytest.raises(DataLoss):
        await async_client.registry.download("digits", 1, tmp_path / "other.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


async def test_a_slow_sink_does_not_hold_the_loop(
    async_client: AsyncClient, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    def slow(request: object) -> Iterator[registry.DownloadArtifactResponse]:
        yield registry.DownloadArtifactResponse(artifact=Artifact(sha256=hashlib.sha256(b"x").hexdigest(), size_bytes=1))
        yield registry.DownloadArtifactResponse(data=b"x")

    platform.answers["DownloadArtifact"] = slow
    platform.answers["GetModel"] = models.GetModelResponse()
    download = asyncio.create_task(
        async_client.registry.download("digits", 1, tmp_path / "m", progress=lambda *now: time.sleep(0.5))
    )
    await async_client.within(5.0).models.get("digits")
    assert not download.done()
    await download


async def test_a_watch_can_be_left_and_a_wait_can_time_out(async_client: AsyncClient, platform: ScriptedPlatform) -> None:
    def endless(request: object) -> Iterator[training.WatchJobResponse]:
        yield training.WatchJobResponse(job=Job(state=JobState.JOB_STATE_RUNNING))
        platform.cancelled.wait(10)

    platform.answers["WatchJob"] = endless
    async with async_client.training.watch("job-1") as changes:
        async for job in changes:
            assert job.state == JobState.JOB_STATE_RUNNING
            break
    assert [job async for job in changes] == []
    assert await asyncio.to_thread(platform.cancelled.wait, 5)
    platform.cancelled.clear()
    with pytest.raises(DeadlineExceeded):
        await async_client.within(0.3).training.wait("job-1")


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_conversation_takes_asynchronous_and_blocking_items(
    async_client: AsyncClient, platform: ScriptedPlatform, asynchronous: bool
) -> None:
    platform.answers["PredictStream"] = predictions
    rows = np.ones((1, 3), np.float32)

    async def drawn() -> AsyncIterator[dict[str, Any]]:
        for factor in range(3):
            yield {"x": rows * factor}

    items: Any = drawn() if asynchronous else ({"x": rows * factor} for factor in range(3))
    answers = [answer async for answer in async_client.inference.predict_stream("digits", items)]
    assert [float(answer.outputs["x"].sum()) for answer in answers] == [0.0, 3.0, 6.0]


async def test_the_failure_of_an_item_reaches_the_caller(async_client: AsyncClient, platform: ScriptedPlatform) -> None:
    platform.answers["PredictStream"] = predictions

    async def items() -> AsyncIterator[dict[str, Any]]:
        yield {"x": np.zeros((1, 3), np.float32)}
        raise ZeroDivisionError("the caller's own")

    with pytest.raises(ZeroDivisionError, match="the caller's own"):
        async for _ in async_client.inference.predict_stream("digits", items()):
            pass


def test_a_blocking_client_says_what_to_do_with_asynchronous_items(client: Client) -> None:
    async def items() -> AsyncIterator[dict[str, Any]]:
        yield {}

    with pytest.raises(InvalidArgument, match="use connect_async"):
        client.inference.predict_stream("digits", items())


async def test_results_are_typed_on_both_clients(client: Client, async_client: AsyncClient, platform: ScriptedPlatform) -> None:
    platform.answers["GetModel"] = models.GetModelResponse(model=Model(id="mdl-1"))
    platform.answers["ListModels"] = models.ListModelsResponse(models=[Model(id="mdl-1")])
    platform.answers["WatchJob"] = lambda request: iter([training.WatchJobResponse(job=Job(id="job-1"))])
    one = assert_type(client.models.get("digits"), Model)
    assert one == assert_type(await async_client.models.get("digits"), Model)
    listed = list(assert_type(client.models.list(), Iterator[Model]))
    assert listed == [model async for model in assert_type(async_client.models.list(), AsyncIterator[Model])]
    watched = list(assert_type(client.training.watch("job-1"), Stream[Job]))
    assert watched == [job async for job in assert_type(async_client.training.watch("job-1"), AsyncStream[Job])]


async def test_both_clients_have_the_same_methods_with_the_same_arguments(client: Client, async_client: AsyncClient) -> None:
    for area in AREAS:
        blocking, asynchronous = getattr(client, area), getattr(async_client, area)
        names = {name for name in dir(blocking) if not name.startswith("_")}
        assert names == {name for name in dir(asynchronous) if not name.startswith("_")}
        for name in names:
            one, other = (list(inspect.signature(getattr(side, name)).parameters) for side in (blocking, asynchronous))
            assert one == other, f"{area}.{name}"
