"""The same question by HTTP, by grpcurl directly and through Envoy, and by the SDK: the same answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synapsenet_client import Client
from tests.live import LivePlatform

GRPCURL = Path(sys.executable).parent / "grpcurl"
EXTERNAL = {
    "synapsenet.features.v1.FeatureService",
    "synapsenet.monitoring.v1.MonitoringService",
    "synapsenet.models.v1.ModelService",
    "synapsenet.registry.v1.RegistryService",
    "synapsenet.lifecycle.v1.LifecycleService",
    "synapsenet.inference.v1.InferenceService",
    "inference.GRPCInferenceService",
    "synapsenet.experiments.v1.ExperimentService",
    "synapsenet.experiments.v1.AnalysisService",
    "synapsenet.training.v1.TrainingService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
}


def grpcurl(*arguments: str) -> str:
    done = subprocess.run([str(GRPCURL), "-plaintext", *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=["directly", "through Envoy"])
def address(request: pytest.FixtureRequest, platform: LivePlatform) -> str:
    return platform.grpc if request.param == "directly" else platform.http


@pytest.fixture(scope="module")
def experiment(client: Client) -> str:
    """A sweep of two learning rates over three seeds, logged by the SDK."""
    made = client.experiments.create("one answer everywhere").id
    for rate, offset in ((0.01, 0.0), (0.1, 0.2)):
        for seed in range(3):
            with client.experiments.run(made, params={"learning_rate": rate}, seed=seed) as run:
                for step in range(5):
                    run.log({"accuracy": 0.5 + offset * (1 + seed / 10) + step / 50}, step=step)
    return str(made)


def test_grpcurl_lists_every_external_service_and_no_control_service(address: str) -> None:
    services = set(grpcurl(address, "list").split())
    assert services >= EXTERNAL
    assert not [name for name in services if name.endswith("ControlService")]


def test_grpcurl_describes_a_service_with_its_messages(address: str) -> None:
    assert "rpc CreateModel" in grpcurl(address, "describe", "synapsenet.models.v1.ModelService")
    assert "request_id" in grpcurl(address, "describe", "synapsenet.models.v1.CreateModelRequest")


def test_a_comparison_is_the_same_by_every_way(platform: LivePlatform, client: Client, address: str, experiment: str) -> None:
    configurations = list(client.experiments.list_configurations(experiment))
    entries = [f"{experiment}@{configuration.id}" for configuration in configurations]
    query = "&".join(f"experiment_ids={entry}" for entry in entries)
    status, by_http = platform.get(f"/experiments/compare?{query}&metric=accuracy")
    asked = json.dumps({"experiment_ids": entries, "metric": "accuracy"})
    method = "synapsenet.experiments.v1.AnalysisService/CompareExperiments"
    by_grpcurl = json.loads(grpcurl("-d", asked, address, method))
    by_sdk = client.experiments.compare(entries, metric="accuracy")
    p_values = [
        by_http["comparison"]["pairs"][0]["adjusted_p_value"],
        by_grpcurl["comparison"]["pairs"][0]["adjusted_p_value"],
        by_sdk.pairs[0].adjusted_p_value,
    ]
    assert status == 200
    assert len(set(p_values)) == 1
    assert p_values[0] < 0.05


def test_freshness_importance_search_and_readiness_answer_over_http(platform: LivePlatform, experiment: str) -> None:
    assert platform.get("/features/freshness")[0] == 200
    assert platform.get(f"/experiments/{experiment}/hyperparameter-importance?metric=accuracy")[0] == 200
    status, found = platform.get("/experiments/search?filter=learning_rate%3E%3D0.05")
    assert status == 200
    assert experiment in json.dumps(found)
    assert platform.get("/v2/health/ready")[0] == 200


def test_the_metric_is_optional_in_comparison_and_importance(platform: LivePlatform, experiment: str) -> None:
    status, compared = platform.get(f"/experiments/compare?experiment_ids={experiment}")
    assert (status, compared["comparison"]["metric"]) == (200, "accuracy")
    assert platform.get(f"/experiments/{experiment}/hyperparameter-importance")[0] == 200


def reason(answer: Any) -> str:
    return str(next(detail["reason"] for detail in answer["details"] if detail["@type"].endswith("ErrorInfo")))


def test_a_filter_that_does_not_parse_is_400_with_the_position(platform: LivePlatform) -> None:
    status, answer = platform.get("/experiments/search?filter=learning_rate%3E%3E0.1")
    assert status == 400
    assert "position" in answer["message"] or "column" in answer["message"], answer
    assert reason(answer) == "FILTER_INVALID"


def test_a_filter_on_a_parameter_that_no_run_has_matches_nothing(platform: LivePlatform, experiment: str) -> None:
    assert experiment
    status, answer = platform.get("/experiments/search?filter=no_such_parameter%3E0.1")
    assert status == 200
    assert "exp-" not in json.dumps(answer)


def test_an_unknown_id_in_a_path_is_404_naming_it(platform: LivePlatform) -> None:
    importance = "/experiments/exp-unknown/hyperparameter-importance?metric=x"
    for path in (importance, "/models/mdl-unknown", "/training/jobs/job-unknown"):
        status, answer = platform.get(path)
        assert (status, "unknown" in answer["message"]) == (404, True), answer


def test_a_comparison_of_unknown_ids_only_is_404_naming_each_and_with_some_known_200_listing_them(
    platform: LivePlatform, experiment: str
) -> None:
    status, answer = platform.get("/experiments/compare?experiment_ids=exp-one&experiment_ids=exp-two")
    assert status == 404
    assert "exp-one" in answer["message"]
    assert "exp-two" in answer["message"]
    status, answer = platform.get(f"/experiments/compare?experiment_ids={experiment}&experiment_ids=exp-one")
    assert status == 200
    assert [unknown["entry"] for unknown in answer["comparison"]["unknown"]] == ["exp-one"]


def test_a_misspelt_query_parameter_is_400_naming_it(platform: LivePlatform) -> None:
    status, answer = platform.get("/experiments/search?filtr=x")
    assert status == 400
    assert "filtr" in answer["message"]


def test_a_missing_required_field_is_400_naming_it(platform: LivePlatform) -> None:
    status, answer = platform.post("/models", {"description": "nameless"})
    assert status == 400
    assert answer["message"].startswith("name is missing")
    assert reason(answer) == "FIELD_MISSING"


def test_an_over_large_message_is_413_over_http(platform: LivePlatform) -> None:
    status, answer = platform.post("/models", {"name": "large", "description": "x" * (17 << 20)})
    assert status == 413
    assert "large" in json.dumps(answer).lower()
