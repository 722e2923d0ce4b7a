"""Commands against a scripted platform: what they send, what they print, how they end."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import grpc
import pytest

import synapsenet_client
from synapsenet_api.experiments.v1 import analysis_service_pb2 as analysis
from synapsenet_api.experiments.v1 import experiment_service_pb2 as experiments
from synapsenet_api.experiments.v1.comparison_pb2 import ComparedEntry, Comparison, MetricStatistics, PairComparison, PairStatus
from synapsenet_api.experiments.v1.metric_pb2 import MetricPoints
from synapsenet_api.features.v1 import feature_service_pb2 as features
from synapsenet_api.features.v1.feature_group_pb2 import EntityKey, Feature, FeatureGroup
from synapsenet_api.features.v1.value_pb2 import Columns, ColumnType, ValueType
from synapsenet_api.inference.v1 import inference_service_pb2 as inference
from synapsenet_api.inference.v1.loaded_model_pb2 import LoadedModel
from synapsenet_api.inference.v1.tensor_pb2 import ElementType, TensorSpec
from synapsenet_api.models.v1 import model_service_pb2 as models
from synapsenet_api.models.v1.model_pb2 import Model
from synapsenet_api.monitoring.v1 import monitoring_service_pb2 as monitoring
from synapsenet_api.monitoring.v1.freshness_pb2 import AgeQuantiles, FreshnessState, GroupFreshness
from synapsenet_api.registry.v1 import registry_service_pb2 as registry
from synapsenet_api.registry.v1.version_pb2 import Version
from synapsenet_api.training.v1 import training_service_pb2 as training
from synapsenet_api.training.v1.job_pb2 import Job, JobFailure, JobProgress, JobState
from synapsenet_cli import exits
from synapsenet_cli.main import main
from tests.integration.clients.scripted import Listening, Refusal, ScriptedPlatform
from tests.integration.clients.test_sdk_streams import ARTIFACT, pieces

Run = Callable[..., tuple[int, str, str]]

GROUP = FeatureGroup(
    name="digits",
    entity_keys=[EntityKey(name="image_id", type=ValueType.VALUE_TYPE_INT64)],
    features=[
        Feature(name="pixels", type=ValueType.VALUE_TYPE_FLOAT, vector_length=2),
        Feature(name="label", type=ValueType.VALUE_TYPE_INT64),
    ],
)


@pytest.fixture
def run(listening: Listening, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line against the scripted platform; exit code, stdout and stderr."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        code = main(["--target", listening.target, *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return ran


def test_json_stands_before_or_after_the_command(run: Run, platform: ScriptedPlatform) -> None:
    platform.answers["GetModel"] = models.GetModelResponse(model=Model(id="mdl-1", name="digits", labels={"team": "vision"}))
    code, after, _ = run("models", "get", "digits", "--json")
    _, before, _ = run("--json", "models", "get", "digits")
    assert code == exits.OK
    assert json.loads(before) == json.loads(after)
    assert json.loads(after)["labels"] == {"team": "vision"}
    assert json.loads(after)["description"] == ""


def test_a_list_is_one_object_or_a_table(run: Run, platform: ScriptedPlatform) -> None:
    listed = [Model(id="mdl-1", name="digits"), Model(id="mdl-2", name="[b]")]
    platform.answers["ListModels"] = models.ListModelsResponse(models=listed)
    _, as_json, _ = run("models", "list", "--json")
    assert [model["name"] for model in json.loads(as_json)["models"]] == ["digits", "[b]"]
    _, table, _ = run("models", "list")
    header, first, second = table.splitlines()
    assert header.split() == ["ID", "NAME", "DESCRIPTION", "UPDATED"]
    assert first.split()[:2] == ["mdl-1", "digits"]
    assert second.split()[:2] == ["mdl-2", "[b]"]


@pytest.mark.parametrize("kind", list(synapsenet_client._errors.BY_CODE.values()), ids=lambda kind: str(kind.__name__))
def test_each_class_of_error_has_its_exit_code_and_one_sentence(
    run: Run, platform: ScriptedPlatform, kind: type[synapsenet_client.SynapseNetError]
) -> None:
    platform.answers["GetModel"] = Refusal(kind.code, "SOME_REASON", "no model is called digits: create it", field="model_id")
    code, out, err = run("models", "get", "digits", "--json", "--timeout", "20")
    assert code == exits.BY_ERROR[kind.__name__]
    assert err == "error: no model is called digits: create it\n"
    told = json.loads(out)["error"]
    assert (told["class"], told["code"], told["reason"]) == (kind.__name__, kind.code.name, "SOME_REASON")
    assert told["violations"][0]["field"] == "model_id"


def test_without_json_stdout_stays_empty_on_an_error(run: Run, platform: ScriptedPlatform) -> None:
    platform.answers["GetModel"] = Refusal(grpc.StatusCode.UNIMPLEMENTED, "NOT_YET_AVAILABLE", "it comes later")
    assert run("models", "get", "digits") == (exits.BY_ERROR["NotYetAvailable"], "", "error: it comes later\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("models", "create"), "Missing argument 'name'"),
        (("models", "create", "x", "--label", "team"), "'team' is no KEY=VALUE"),
        (("models", "gett", "x"), "No such command 'gett'"),
        (("registry", "upload", "digits", "one", "m.onnx"), "Invalid value for 'VERSION'"),
        (("monitoring", "silences", "create", "group=digits", "--for", "soon"), "'soon' is no duration"),
        (("inference", "predict", "m", "--input", "x=[1"), "is no JSON"),
        (("features", "write", "digits", "rows.xml"), "its kind is unknown"),
    ],
)
def test_wrong_usage_is_told_on_stderr_with_its_own_code(
    run: Run, platform: ScriptedPlatform, arguments: tuple[str, ...], said: str
) -> None:
    platform.answers["GetFeatureGroup"] = features.GetFeatureGroupResponse(group=GROUP)
    code, out, err = run(*arguments)
    assert code == exits.USAGE
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_an_upload_and_a_download_go_through_files(run: Run, platform: ScriptedPlatform, tmp_path: Path) -> None:
    def upload(parts: Iterable[registry.UploadArtifactRequest]) -> registry.UploadArtifactResponse:
        digest = hashlib.sha256(b"".join(part.data for part in parts)).hexdigest()
        return registry.UploadArtifactResponse(version=Version(version=1, description=digest))

    platform.answers["UploadArtifact"] = upload
    platform.answers["DownloadArtifact"] = lambda request: pieces(ARTIFACT)
    (tmp_path / "m.onnx").write_bytes(ARTIFACT)
    _, out, err = run("registry", "upload", "digits", "1", str(tmp_path / "m.onnx"), "--json")
    assert json.loads(out)["description"] == hashlib.sha256(ARTIFACT).hexdigest()
    assert err == ""
    code, out, _ = run("registry", "download", "digits", "1", str(tmp_path / "copy.onnx"), "--json")
    assert (code, json.loads(out)["size_bytes"]) == (exits.OK, len(ARTIFACT))
    assert (tmp_path / "copy.onnx").read_bytes() == ARTIFACT


@pytest.mark.parametrize("kind", ["csv", "ndjson", "json"])
def test_rows_of_a_file_are_written_with_the_types_of_the_group(
    run: Run, platform: ScriptedPlatform, tmp_path: Path, kind: str
) -> None:
    received: list[features.WriteBatch] = []

    def write(requests: Iterable[features.StreamFeaturesRequest]) -> Iterator[features.StreamFeaturesResponse]:
        received.extend(request.batch for request in requests)
        yield features.StreamFeaturesResponse(acknowledged_batches=1, summary=features.WriteSummary(rows=2, applied=2))

    platform.answers |= {"GetFeatureGroup": features.GetFeatureGroupResponse(group=GROUP), "StreamFeatures": write}
    rows = [{"image_id": place, "pixels": [0.5, 1.0], "label": None, "event_time": "2026-01-01T00:00:00Z"} for place in (1, 2)]
    lines = [f'{row["image_id"]},"[0.5, 1.0]",,{row["event_time"]}\n' for row in rows]
    csv = "".join(["image_id,pixels,label,event_time\n", *lines])
    content = {"csv": csv, "json": json.dumps(rows), "ndjson": "".join(json.dumps(row) + "\n" for row in rows)}[kind]
    file = tmp_path / f"rows.{kind}"
    file.write_text(content)
    code, out, err = run("features", "write", "digits", str(file), "--json")
    assert (code, err) == (exits.OK, "")
    assert json.loads(out)["applied"] == "2"
    (batch,) = received
    assert [column.name for column in batch.columns.columns] == ["image_id", "pixels", "label"]
    assert list(batch.event_times_us) == [1_767_225_600_000_000] * 2
    assert batch.columns.nulls == bytes([0, 0, 0, 0, 1, 1])


def test_a_value_that_the_first_row_leaves_out_is_written_all_the_same(
    run: Run, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    received: list[features.WriteBatch] = []

    def write(requests: Iterable[features.StreamFeaturesRequest]) -> Iterator[features.StreamFeaturesResponse]:
        received.extend(request.batch for request in requests)
        yield features.StreamFeaturesResponse(acknowledged_batches=1, summary=features.WriteSummary(rows=2, applied=2))

    platform.answers |= {"GetFeatureGroup": features.GetFeatureGroupResponse(group=GROUP), "StreamFeatures": write}
    file = tmp_path / "rows.ndjson"
    file.write_text('{"image_id": 1}\n{"image_id": 2, "label": 7}\n')
    assert run("features", "write", "digits", str(file), "--json")[0] == exits.OK
    (batch,) = received
    assert [column.name for column in batch.columns.columns] == ["image_id", "label"]
    assert batch.columns.nulls == bytes([0, 0, 1, 0])


def test_a_column_that_the_group_lacks_is_named(run: Run, platform: ScriptedPlatform, tmp_path: Path) -> None:
    platform.answers["GetFeatureGroup"] = features.GetFeatureGroupResponse(group=GROUP)
    platform.answers["StreamFeatures"] = lambda requests: iter([*requests][:0])
    file = tmp_path / "rows.csv"
    file.write_text("image_id,colour\n1,red\n")
    code, _, err = run("features", "write", "digits", str(file))
    assert code == exits.USAGE
    assert "digits has no colour" in err


def test_entities_are_read_with_their_keys(run: Run, platform: ScriptedPlatform) -> None:
    columns = Columns(
        columns=[ColumnType(name="label", type=ValueType.VALUE_TYPE_INT64)], rows=2, data=(7).to_bytes(8, "little") + bytes(8)
    )
    values = features.GroupValues(group="digits", event_times_us=[1, 0], statuses=bytes([1, 3]), columns=columns)
    platform.answers["GetFeatureGroup"] = features.GetFeatureGroupResponse(group=GROUP)
    platform.answers["GetOnlineFeatures"] = features.GetOnlineFeaturesResponse(groups=[values])
    _, out, _ = run("features", "read", "digits:label", "--entity", "image_id=1", "--entity", "image_id=99", "--json")
    assert json.loads(out) == {"rows": [{"image_id": "1", "digits:label": 7}, {"image_id": "99", "digits:label": None}]}


def test_freshness_is_a_table_and_a_watch_is_one_object_a_line(run: Run, platform: ScriptedPlatform) -> None:
    state = FreshnessState.FRESHNESS_STATE_FRESH
    fresh = GroupFreshness(group="digits", state=state, newest_age_ms=12.5, age_ms=AgeQuantiles(p99=30.0), tracked=3)
    platform.answers["GetFreshness"] = monitoring.GetFreshnessResponse(groups=[fresh])
    platform.answers["WatchFreshness"] = lambda request: iter([monitoring.WatchFreshnessResponse(groups=[fresh])] * 3)
    assert run("features", "freshness")[1].splitlines()[1].split() == ["digits", "FRESH", "12.5", "30", "3", "0"]
    _, out, _ = run("features", "freshness", "--watch", "--json")
    assert [json.loads(line)["groups"][0]["group"] for line in out.splitlines()] == ["digits"] * 3


def test_a_prediction_takes_the_type_of_the_loaded_model(run: Run, platform: ScriptedPlatform) -> None:
    spec = TensorSpec(name="pixels", element_type=ElementType.ELEMENT_TYPE_FLOAT32, shape=[-1, 2])
    loaded = LoadedModel(model_id="mdl-1", model_name="digits", version=1, inputs=[spec])
    platform.answers["ListLoadedModels"] = inference.ListLoadedModelsResponse(models=[loaded])
    platform.answers["Predict"] = lambda request: inference.PredictResponse(outputs=request.inputs, batch_rows=1)
    _, out, _ = run("inference", "predict", "digits", "--input", "pixels=[[0.5, 1]]", "--json")
    assert json.loads(out)["outputs"] == {"pixels": [[0.5, 1.0]]}
    sent = next(request for request in platform.requests if isinstance(request, inference.PredictRequest))
    assert sent.inputs[0].element_type == ElementType.ELEMENT_TYPE_FLOAT32


def test_a_comparison_shows_entries_and_pairs(run: Run, platform: ScriptedPlatform) -> None:
    entry = ComparedEntry(entry="exp-1@a", statistics=MetricStatistics(metric="accuracy", n=3, mean=0.97))
    pairs = [
        PairComparison(first="exp-1@a", second="exp-1@b", status=PairStatus.PAIR_STATUS_OK, adjusted_p_value=0.012),
        PairComparison(first="exp-1@a", second="exp-1@c", status=PairStatus.PAIR_STATUS_ZERO_VARIANCE),
    ]
    answer = Comparison(metric="accuracy", entries=[entry], pairs=pairs)
    platform.answers["CompareExperiments"] = analysis.CompareExperimentsResponse(comparison=answer)
    _, table, _ = run("experiments", "compare", "exp-1@a", "exp-1@b")
    assert "0.012" in table
    assert "ZERO_VARIANCE" in table
    _, out, _ = run("experiments", "compare", "exp-1@a", "exp-1@b", "--json")
    assert json.loads(out)["pairs"][0]["adjusted_p_value"] == 0.012


def test_values_that_json_lacks_are_spelled_as_proto_json_does(run: Run, platform: ScriptedPlatform) -> None:
    points = MetricPoints(metric="loss", steps=[0, 1], values=[float("nan"), float("-inf")])
    platform.answers["StreamMetricHistory"] = lambda request: iter([experiments.StreamMetricHistoryResponse(points=points)])
    _, out, _ = run("experiments", "history", "run-1", "loss", "--json")
    assert json.loads(out)["values"] == ["NaN", "-Infinity"]


def test_a_job_that_fails_is_a_failed_command(run: Run, platform: ScriptedPlatform) -> None:
    lost = Job(id="job-1", state=JobState.JOB_STATE_FAILED, failure=JobFailure(reason="WORKER_LOST", message="worker-2 died"))
    running = Job(id="job-1", state=JobState.JOB_STATE_RUNNING, progress=JobProgress(step=3, loss=0.5))
    platform.answers["WatchJob"] = lambda request: iter([training.WatchJobResponse(job=job) for job in (running, lost)])
    code, out, err = run("train", "watch", "job-1", "--json")
    assert code == exits.FAILED
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["JOB_STATE_RUNNING", "JOB_STATE_FAILED"]
    assert err == "error: job-1 ended as FAILED: worker-2 died\n"


def test_a_job_is_submitted_followed_and_shown(run: Run, platform: ScriptedPlatform) -> None:
    platform.answers["CreateJob"] = lambda request: training.CreateJobResponse(job=Job(id="job-1", spec=request.spec))
    done = training.WatchJobResponse(job=Job(id="job-1", state=JobState.JOB_STATE_SUCCEEDED))
    platform.answers["WatchJob"] = lambda request: iter([done])
    code, out, _ = run(
        "training", "run", "--model", "mlp", "--arguments", '{"hidden": [32]}', "--training-set", "ts-1",
        "--input", "digits:pixels", "--label", "digits:label", "--learning-rate", "0.1", "--workers", "4", "--json",
    )  # fmt: skip
    assert (code, json.loads(out)["state"]) == (exits.OK, "JOB_STATE_SUCCEEDED")
    spec = platform.requests[0].spec
    assert (spec.model.entry_point, list(spec.model.arguments["hidden"]), spec.workers.count) == ("mlp", [32.0], 4)
    assert spec.training_data.training_set.training_set_id == "ts-1"


def test_ctrl_c_ends_a_watch_without_a_trace(run: Run, platform: ScriptedPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    leave = threading.Event()
    platform.answers["WatchJob"] = lambda request: (leave.wait(5) and training.WatchJobResponse() for _ in range(1))

    def interrupted(stream: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(synapsenet_client.Stream, "__next__", interrupted)
    code, _, err = run("train", "watch", "job-1")
    assert (code, err) == (exits.INTERRUPTED, "")
    leave.set()


def test_a_bug_is_one_sentence_too(run: Run, platform: ScriptedPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("synapsenet_cli.output.Output.record", broken)
    platform.answers["GetModel"] = models.GetModelResponse()
    code, _, err = run("models", "get", "digits")
    assert code == exits.FAILED
    assert err == "error: RuntimeError: unforeseen (set SYNAPSENET_DEBUG=1 to see where)\n"
