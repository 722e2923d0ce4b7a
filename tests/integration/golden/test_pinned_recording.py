"""The recording itself: nothing in it changes, and it holds what later releases must be held to."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from synapsenet.testing.onnx_models import CLASSES, WIDTH, exact_weights
from tests.golden.contracts import Contracts
from tests.golden.files import CONVERSATIONS, DESCRIPTORS, PRE_MIGRATION, SUMS, sums
from tests.golden.replay import Recorded, recorded_calls

# The recording was made once, before the migrations. A change that needs another pin needs another way.
PIN = "715f28948efa37ad04b2bd341baf2c0d1309685bcbae0e91cb39472fa9c4e908"

PACKAGES = ("synapsenet.models.v1", "synapsenet.registry.v1", "synapsenet.inference.v1", "inference", "synapsenet.training.v1")
STREAM = "synapsenet.training.v1.ParameterServerService/Train"
NEVER_REFUSED = {
    "inference.GRPCInferenceService/ServerLive",
    "inference.GRPCInferenceService/ServerReady",
    "inference.GRPCInferenceService/ServerMetadata",
    "inference.GRPCInferenceService/RepositoryIndex",
    "synapsenet.inference.v1.OpenInferenceRestService/CheckServerLive",
    "synapsenet.inference.v1.OpenInferenceRestService/CheckServerReady",
    "synapsenet.inference.v1.OpenInferenceRestService/GetServerMetadata",
    "synapsenet.inference.v1.InferenceService/WatchDeployments",
    "synapsenet.training.v1.TrainingService/ListTrainableModels",
    "synapsenet.inference.v1.InferenceService/ListLoadedModels",
}


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return Contracts.read(PRE_MIGRATION / DESCRIPTORS)


@pytest.fixture(scope="module")
def calls(contracts: Contracts) -> list[Recorded]:
    return recorded_calls(PRE_MIGRATION, contracts)


def test_no_recorded_file_has_changed_come_or_gone() -> None:
    recorded = (PRE_MIGRATION / SUMS).read_bytes()
    assert hashlib.sha256(recorded).hexdigest() == PIN
    assert sums(PRE_MIGRATION) == recorded.decode()


def test_every_external_rpc_of_the_four_areas_is_recorded(contracts: Contracts, calls: list[Recorded]) -> None:
    external = {method for package in PACKAGES for method in contracts.methods(package)}
    assert external - {recorded.call.method for recorded in calls} == {STREAM}
    assert len(list((PRE_MIGRATION / CONVERSATIONS).glob("*.json"))) > 10


def test_every_rpc_is_recorded_with_an_answer_and_with_a_refusal(contracts: Contracts, calls: list[Recorded]) -> None:
    statuses: dict[str, set[str]] = {}
    for recorded in calls:
        statuses.setdefault(recorded.call.method, set()).add((recorded.answered["status"] or {"code": "OK"})["code"])
    unanswered = {method for method, codes in statuses.items() if codes == {"UNIMPLEMENTED"}}
    assert all("OK" in codes for method, codes in statuses.items() if method not in unanswered)
    of_the_areas = {method for package in PACKAGES for method in contracts.methods(package)} - {STREAM}
    assert {method for method in of_the_areas if statuses[method] == {"OK"}} <= NEVER_REFUSED


def test_every_refusal_says_why_in_a_way_that_programs_read(calls: list[Recorded]) -> None:
    refused = [recorded for recorded in calls if recorded.answered["status"] not in (None, {"code": "OK"})]
    assert len(refused) > 150
    for recorded in refused:
        assert recorded.answered["status"]["details"][0]["@type"].endswith("/google.rpc.ErrorInfo"), recorded.name
        assert recorded.answered["status"]["code"] not in ("INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED"), recorded.name


def test_the_recorded_predictions_are_exact(contracts: Contracts, calls: list[Recorded]) -> None:
    weights, bias = exact_weights()
    checked = 0
    for recorded in calls:
        for asked, answered in _predictions(recorded, contracts):
            pixels = np.frombuffer(asked, "<f4").reshape(-1, WIDTH).astype(np.int64)
            scores = pixels @ weights.astype(np.int64) + bias.astype(np.int64)
            assert np.frombuffer(answered, "<f4").reshape(-1, CLASSES).astype(np.int64).tolist() == scores.tolist()
            checked += len(pixels)
    assert checked > 90


def _predictions(recorded: Recorded, contracts: Contracts) -> list[tuple[bytes, bytes]]:
    """Inputs and scores of one call to the exact model."""
    method = recorded.call.method
    responses: list[Any] = [contracts.parse_response(method, response) for response in recorded.answered["responses"]]
    requests: list[Any] = list(recorded.call.requests)
    if method.endswith("/Predict"):
        pairs = list(zip(requests, responses, strict=False))
    elif method.endswith("/PredictStream"):
        results = {response.result.id: response.result for response in responses if response.HasField("result")}
        items = [request.item for request in requests if request.HasField("item")]
        pairs = [(item, results[item.id]) for item in items if item.id in results]
    else:
        return []
    return [
        (asked.inputs[0].data, answered.outputs[0].data)
        for asked, answered in pairs
        if answered.outputs and answered.outputs[0].name == "scores"
    ]


def test_the_recording_is_small() -> None:
    assert sum(path.stat().st_size for path in PRE_MIGRATION.rglob("*") if path.is_file()) < 2 << 20
