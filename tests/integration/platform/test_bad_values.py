"""Files, tensors, rows and jobs that do not fit what they are meant for: each is told what was expected in their place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from synapsenet.testing.onnx_models import exact_model
from synapsenet_client import Client, InvalidArgument, SynapseNetError
from tests.live import LivePlatform

MODEL = "values"
GROUP = "values"
PIXELS = np.zeros((2, 8), np.float32)


@pytest.fixture(scope="module", autouse=True)
def ground(platform: LivePlatform, client: Client) -> Iterator[None]:
    """A deployed model and a group of features; at the end, a log without stack traces."""
    before = len(platform.log())
    client.models.create(MODEL)
    client.registry.create_version(MODEL)
    client.registry.upload(MODEL, 1, exact_model(), format="ONNX")
    client.registry.set_state(MODEL, 1, "REGISTERED")
    client.inference.deploy(MODEL, 1)
    client.registry.create_version(MODEL)
    client.features.create(GROUP, entity_keys={"id": "INT64"}, features={"x": "DOUBLE", "v": "FLOAT[2]"})
    yield
    assert "Traceback" not in platform.log()[before:]


FILES = {
    "a text": b"hello",
    "zeros": bytes(1_000),
    "JSON": b'{"model": 1}',
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00.",
    "a model cut short": exact_model()[:-20],
}


@pytest.mark.parametrize("kind", ["ONNX", "SAFETENSORS"])
@pytest.mark.parametrize("case", FILES)
def test_a_file_of_another_kind_is_no_artifact(case: str, kind: str, client: Client) -> None:
    with pytest.raises(InvalidArgument) as raised:
        client.registry.upload(MODEL, 2, FILES[case], format=kind)
    assert raised.value.reason == f"ARTIFACT_NOT_{kind}"
    assert "the artifact is declared as" in raised.value.message
    assert "upload that file" in raised.value.message
    assert not client.registry.get_version(MODEL, 2).HasField("artifact")


PREDICTIONS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "doubles": ({"pixels": PIXELS.astype(np.float64)}, {}, "TENSOR_TYPE", "has FLOAT64: the model expects FLOAT32[-1, 8]"),
    "texts": ({"pixels": ["a", "b"]}, {}, "TENSOR_TYPE", "has STRING: the model expects FLOAT32[-1, 8]"),
    "narrow rows": ({"pixels": PIXELS[:, :7]}, {}, "TENSOR_SHAPE", "has shape [2, 7]: the model expects FLOAT32[-1, 8]"),
    "one bare row": ({"pixels": PIXELS[0]}, {}, "TENSOR_SHAPE", "has shape [8]"),
    "no rows": ({"pixels": PIXELS[:0]}, {}, "REQUEST_ROWS", "0 rows: send 1 to"),
    "a misspelt input": ({"pixel": PIXELS}, {}, "TENSOR_UNKNOWN", "no input 'pixel': give 'pixels'"),
    "one input too many": ({"pixels": PIXELS, "more": PIXELS}, {}, "TENSOR_UNKNOWN", "no input 'more'"),
    "no input": ({}, {}, "FIELD_MISSING", "inputs is missing"),
    "a misspelt output": ({"pixels": PIXELS}, {"outputs": ["score"]}, "OUTPUT_UNKNOWN", "name some of: scores, label"),
    "no such version": ({"pixels": PIXELS}, {"version": 99}, "VERSION_UNKNOWN", "has no version 99"),
    "no such alias": ({"pixels": PIXELS}, {"alias": "best"}, "ALIAS_UNKNOWN", "has no alias best"),
}


@pytest.mark.parametrize("case", PREDICTIONS)
def test_a_tensor_that_does_not_fit_the_model_is_told_what_does(case: str, client: Client) -> None:
    inputs, options, reason, words = PREDICTIONS[case]
    with pytest.raises(SynapseNetError) as raised:
        client.inference.predict(MODEL, inputs, **options)
    assert raised.value.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert raised.value.reason == reason
    assert words in raised.value.message


INFERENCES: dict[str, tuple[Any, Any, Any, str]] = {
    "too few numbers": ("FP32", [1, 8], [0] * 7, "28 bytes of contents: shape [1, 8] of FLOAT32 takes exactly 32"),
    "texts for numbers": ("FP32", [1, 8], ["a"] * 8, "data that are no FP32"),
    "a type that there is not": ("FP99", [1, 8], [0] * 8, "inputs[0].datatype"),
    "a negative extent": ("FP32", [-1, 8], [0] * 8, "inputs[0].shape"),
    "an enormous shape": ("FP32", [10**9, 10**9], [0], "has shape [1000000000, 1000000000]"),
    "no shape": ("FP32", "wide", [0], "inputs[0].shape"),
}


@pytest.mark.parametrize("case", INFERENCES)
def test_an_inference_request_in_json_that_does_not_fit_is_told_where(case: str, platform: LivePlatform) -> None:
    kind, shape, data, words = INFERENCES[case]
    tensor = {"name": "pixels", "datatype": kind, "shape": shape, "data": data}
    status, answer = platform.post(f"/v2/models/{MODEL}/infer", {"inputs": [tensor]})
    assert status == 400
    assert words in answer["message"]


ROWS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown column": ({"id": 1, "y": 2}, "COLUMN_UNKNOWN", "batch.rows[0] has an unknown y"),
    "no key": ({"x": 1}, "ENTITY_KEY_NULL", "id of row 0 is null"),
    "a null key": ({"id": None, "x": 1}, "ENTITY_KEY_NULL", "give every row its entity keys"),
    "a word for a key": ({"id": "one"}, "VALUE_TYPE", "batch.rows[0].id is no INT64"),
    "half a key": ({"id": 1.5}, "VALUE_TYPE", "batch.rows[0].id is no INT64"),
    "a key past 64 bits": ({"id": "9" * 30}, "VALUE_TYPE", "no INT64"),
    "a word for a number": ({"id": 1, "x": "much"}, "VALUE_TYPE", "batch.rows[0].x is no DOUBLE"),
    "a short vector": ({"id": 1, "v": [1]}, "VALUE_TYPE", "batch.rows[0].v is no FLOAT[2]"),
    "a word for a time": ({"id": 1, "event_time": "yesterday"}, "VALUE_TYPE", "times in RFC 3339"),
    "the far future": ({"id": 1, "event_time": "9000-01-01T00:00:00Z"}, "EVENT_TIME_IN_FUTURE", "ahead of our clock"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_does_not_fit_its_group_is_refused_by_column_and_nothing_is_written(
    case: str, platform: LivePlatform, client: Client
) -> None:
    row, reason, words = ROWS[case]
    good = {"id": 7, "x": 1.0} | ({"event_time": "2026-01-01T00:00:00Z"} if "event_time" in row else {})
    status, answer = platform.post(f"/features/groups/{GROUP}:write", {"batch": {"rows": [row, good]}})
    assert status == 400
    assert [detail["reason"] for detail in answer["details"] if detail["@type"].endswith("ErrorInfo")] == [reason]
    assert words in answer["message"]
    assert client.features.read([f"{GROUP}:x"], {"id": np.array([7])}).rows() == [{f"{GROUP}:x": None}]


JOBS: dict[str, tuple[dict[str, Any], str]] = {
    "a function of the system": ({"model": {"entry_point": "os:system"}}, "'os:system' is not on the allow-list"),
    "a misspelt argument": ({"model": {"entry_point": "mlp", "arguments": {"input": 1}}}, "the model argument 'input'"),
    "a negative batch": ({"batch_size": -1}, "spec.batch_size is out of range: give 1 or more"),
    "no rate": ({"optimizer": {"learning_rate": "NaN"}}, "spec.optimizer.learning_rate is out of range"),
    "a crowd": ({"workers": {"count": 1_000_000}}, "spec.workers.count is above 64"),
    "no time": ({"timeout": "-1s"}, "spec.timeout is out of range"),
}


@pytest.mark.parametrize("case", JOBS)
def test_a_job_that_cannot_be_run_is_refused_by_its_field(case: str, platform: LivePlatform) -> None:
    change, words = JOBS[case]
    spec: dict[str, Any] = {
        "model": {"entry_point": "mlp", "arguments": {"inputs": 1, "hidden": [2], "classes": 2}},
        "training_data": {"training_set": {"training_set_id": "set-1"}, "inputs": ["a:x"], "target": "a:y"},
        "optimizer": {"learning_rate": 0.1},
        "batch_size": 8,
        "steps": 10,
    }
    status, answer = platform.post("/training/jobs", {"spec": spec | change})
    assert status == 400
    assert words in answer["message"]
