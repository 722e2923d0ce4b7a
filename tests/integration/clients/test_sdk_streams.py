"""Streams of the SDK: uploads, downloads, watches and conversations, and what happens when they break."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2

from synapsenet_api.features.v1 import feature_service_pb2 as features
from synapsenet_api.features.v1.training_set_pb2 import TrainingSet
from synapsenet_api.inference.v1 import inference_service_pb2 as inference
from synapsenet_api.inference.v1.prediction_pb2 import PredictStreamResult, PredictStreamStarted
from synapsenet_api.registry.v1 import registry_service_pb2 as registry
from synapsenet_api.registry.v1.artifact_pb2 import Artifact
from synapsenet_api.registry.v1.version_pb2 import Version
from synapsenet_api.training.v1 import training_service_pb2 as training
from synapsenet_api.training.v1.job_pb2 import Job, JobState
from synapsenet_client import Client, DataLoss, FeatureRows, InvalidArgument, NotFound, Unavailable
from tests.integration.clients.scripted import Refusal, ScriptedPlatform

ARTIFACT = bytes(range(256)) * 10_000


def announced(data: bytes) -> Artifact:
    return Artifact(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def pieces(data: bytes) -> Iterator[registry.DownloadArtifactResponse]:
    yield registry.DownloadArtifactResponse(artifact=announced(ARTIFACT))
    for start in range(0, len(data), 1 << 20):
        yield registry.DownloadArtifactResponse(data=data[start : start + (1 << 20)])


def test_an_upload_sends_a_header_then_pieces_and_tells_its_progress(
    client: Client, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    received: list[registry.UploadArtifactRequest] = []

    def upload(parts: Iterable[registry.UploadArtifactRequest]) -> registry.UploadArtifactResponse:
        received.extend(parts)
        return registry.UploadArtifactResponse(version=Version(version=1))

    platform.answers["UploadArtifact"] = upload
    file = tmp_path / "model.onnx"
    file.write_bytes(ARTIFACT)
    told: list[tuple[int, int]] = []
    assert client.registry.upload("digits", 1, file, progress=lambda done, total: told.append((done, total))).version == 1
    header, *rest = received
    assert header.header.sha256 == hashlib.sha256(ARTIFACT).hexdigest()
    assert (header.header.size_bytes, header.header.format) == (len(ARTIFACT), 1)
    assert b"".join(part.data for part in rest) == ARTIFACT
    assert max(len(part.data) for part in rest) == 1 << 20
    assert told[-1] == (len(ARTIFACT), len(ARTIFACT))
    assert len(told) == 3


def test_an_upload_of_a_missing_file_names_it_and_leaves_no_trace_on_stderr(
    client: Client, platform: ScriptedPlatform, capfd: pytest.CaptureFixture[str]
) -> None:
    platform.answers["UploadArtifact"] = lambda parts: [*parts] and registry.UploadArtifactResponse()
    with pytest.raises(InvalidArgument, match=r"/nowhere/model\.onnx: it cannot be read"):
        client.registry.upload("digits", 1, "/nowhere/model.onnx")
    assert capfd.readouterr().err == ""


def test_an_upload_that_the_platform_refuses_raises_its_refusal(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["UploadArtifact"] = Refusal(grpc.StatusCode.NOT_FOUND, "VERSION_UNKNOWN", "digits has no version 9")
    with pytest.raises(NotFound, match="no version 9"):
        client.registry.upload("digits", 9, ARTIFACT, format="ONNX")


def test_a_download_appears_whole_and_checked(client: Client, platform: ScriptedPlatform, tmp_path: Path) -> None:
    platform.answers["DownloadArtifact"] = lambda request: pieces(ARTIFACT)
    told: list[tuple[int, int]] = []
    path = client.registry.download("digits", 1, tmp_path / "m.onnx", progress=lambda *now: told.append(now))
    assert path.read_bytes() == ARTIFACT
    assert told[-1] == (len(ARTIFACT), len(ARTIFACT))
    assert client.registry.read_artifact("digits", 1) == ARTIFACT


@pytest.mark.parametrize("damaged", [ARTIFACT[:-1], ARTIFACT[:-1] + b"?", b""])
def test_a_damaged_download_is_data_loss_and_keeps_the_old_file(
    client: Client, platform: ScriptedPlatform, tmp_path: Path, damaged: bytes
) -> None:
    platform.answers["DownloadArtifact"] = lambda request: pieces(damaged)
    (tmp_path / "m.onnx").write_bytes(b"old")
    with pytest.raises(DataLoss) as caught:
        client.registry.download("digits", 1, tmp_path / "m.onnx")
    assert caught.value.reason == "DOWNLOAD_CORRUPT"
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_bytes() == b"old"


def test_a_download_that_breaks_off_leaves_nothing_behind(client: Client, platform: ScriptedPlatform, tmp_path: Path) -> None:
    def broken(request: object) -> Iterator[registry.DownloadArtifactResponse]:
        yield registry.DownloadArtifactResponse(artifact=announced(ARTIFACT))
        yield registry.DownloadArtifactResponse(data=ARTIFACT[:1000])
        raise Refusal(grpc.StatusCode.DATA_LOSS, "ARTIFACT_CORRUPT", "the stored bytes are not those that were uploaded")

    platform.answers["DownloadArtifact"] = broken
    with pytest.raises(DataLoss) as caught:
        client.registry.download("digits", 1, tmp_path / "m.onnx")
    assert caught.value.reason == "ARTIFACT_CORRUPT"
    assert not list(tmp_path.iterdir())


def test_a_download_into_a_missing_folder_names_the_file(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="name a file in a writable folder"):
        client.registry.download("digits", 1, tmp_path / "missing" / "m.onnx")


def test_a_training_set_is_read_as_the_bytes_of_its_stream(client: Client, platform: ScriptedPlatform) -> None:
    data = b"arrow" * 1000

    def read(request: features.ReadTrainingSetRequest) -> Iterator[features.ReadTrainingSetResponse]:
        yield features.ReadTrainingSetResponse(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), data=data[:10])
        yield features.ReadTrainingSetResponse(data=data[10:])

    platform.answers["ReadTrainingSet"] = read
    assert client.features.read_training_set("ts-1") == data


def test_a_watch_ends_with_the_job_and_waiting_returns_its_last_state(client: Client, platform: ScriptedPlatform) -> None:
    states = [JobState.JOB_STATE_QUEUED, JobState.JOB_STATE_RUNNING, JobState.JOB_STATE_SUCCEEDED]

    def watch(request: training.WatchJobRequest) -> Iterator[training.WatchJobResponse]:
        return (training.WatchJobResponse(job=Job(id=request.job_id, state=state)) for state in states)

    platform.answers["WatchJob"] = watch
    assert [job.state for job in client.training.watch("job-1")] == states
    assert client.training.wait("job-1").state == JobState.JOB_STATE_SUCCEEDED
    states.pop()
    with pytest.raises(Unavailable):
        client.training.wait("job-1")


def test_a_watch_that_is_left_early_is_cancelled_at_the_platform(client: Client, platform: ScriptedPlatform) -> None:
    leave = threading.Event()

    def endless(request: object) -> Iterator[training.WatchJobResponse]:
        yield training.WatchJobResponse(job=Job(id="job-1"))
        leave.wait(10)

    platform.answers["WatchJob"] = endless
    with client.training.watch("job-1") as changes:
        assert next(changes).id == "job-1"
    assert platform.cancelled.wait(5)
    assert list(changes) == []
    leave.set()


def test_closing_a_watch_ends_an_iteration_in_another_thread(client: Client, platform: ScriptedPlatform) -> None:
    leave = threading.Event()
    platform.answers["WatchJob"] = lambda request: (leave.wait(10) and training.WatchJobResponse() for _ in range(1))
    changes = client.training.watch("job-1")
    seen: list[Job] = []
    reader = threading.Thread(target=lambda: seen.extend(changes))
    reader.start()
    changes.close()
    reader.join(5)
    assert not reader.is_alive()
    assert seen == []
    leave.set()


def predictions(requests: Iterable[inference.PredictStreamRequest]) -> Iterator[inference.PredictStreamResponse]:
    """Echoes each item's inputs; the item `bad` fails alone."""
    for request in requests:
        if request.HasField("start"):
            yield inference.PredictStreamResponse(started=PredictStreamStarted(credits=8))
        elif request.item.id == "bad":
            detail = error_details_pb2.ErrorInfo(reason="INPUT_SHAPE", domain="synapsenet")
            status = status_pb2.Status(code=3, message="pixels: 64 values a row are wanted")
            status.details.add().Pack(detail)
            yield inference.PredictStreamResponse(result=PredictStreamResult(id="bad", status=status))
        else:
            result = PredictStreamResult(id=request.item.id, outputs=request.item.inputs, batch_rows=2)
            yield inference.PredictStreamResponse(result=result)


def test_a_prediction_stream_answers_item_by_item_and_one_may_fail_alone(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["PredictStream"] = predictions
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    items: list[Mapping[str, Any] | tuple[str, Mapping[str, Any]]] = [{"x": rows}, ("bad", {"x": rows}), {"x": rows + 1}]
    first, bad, second = client.inference.predict_stream("digits", items, ordered=True)
    assert (first.id, bad.id, second.id) == ("0", "bad", "1")
    np.testing.assert_array_equal(first.outputs["x"], rows)
    np.testing.assert_array_equal(second.outputs["x"], rows + 1)
    assert isinstance(bad.error, InvalidArgument)
    assert bad.error.reason == "INPUT_SHAPE"
    with pytest.raises(InvalidArgument, match="64 values a row"):
        _ = bad.outputs


def test_items_are_drawn_as_the_stream_goes_and_their_own_failure_reaches_the_caller(
    client: Client, platform: ScriptedPlatform
) -> None:
    platform.answers["PredictStream"] = predictions

    def items() -> Iterator[dict[str, Any]]:
        yield {"x": np.zeros((1, 3), np.float32)}
        raise ZeroDivisionError("the caller's own")

    with pytest.raises(ZeroDivisionError, match="the caller's own"):
        list(client.inference.predict_stream("digits", items()))


def test_batches_of_a_write_stream_are_acknowledged_as_they_reach_the_disk(client: Client, platform: ScriptedPlatform) -> None:
    def acknowledge(batches: Iterable[features.StreamFeaturesRequest]) -> Iterator[features.StreamFeaturesResponse]:
        rows = 0
        for number, request in enumerate(batches, start=1):
            rows += request.batch.columns.rows
            yield features.StreamFeaturesResponse(acknowledged_batches=number, summary=features.WriteSummary(rows=rows))

    platform.answers["StreamFeatures"] = acknowledge
    batches = (FeatureRows(group="digits", columns={"image_id": [start, start + 1]}) for start in (0, 2, 4))
    answers = list(client.features.write_stream(batches))
    assert [answer.acknowledged_batches for answer in answers] == [1, 2, 3]
    assert answers[-1].summary.rows == 6


def test_a_training_set_build_sends_the_spine_with_its_instants(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["BuildTrainingSet"] = features.BuildTrainingSetResponse(training_set=TrainingSet(id="ts-1"))
    built = client.features.build_training_set({"image_id": np.arange(3)}, 1_700_000_000_000_000, ["digits:*"], max_age=60.0)
    (request,) = platform.requests
    assert built.id == "ts-1"
    assert request.spine.columns.rows == 3
    assert list(request.spine.instants_us) == [1_700_000_000_000_000]
    assert request.max_age.seconds == 60
    assert request.request_id
