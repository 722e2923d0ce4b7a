"""Every command reads the fields that the contract has: each is run on an answer in which every field is empty."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass

from synapsenet_api.experiments.v1 import analysis_service_pb2, experiment_service_pb2
from synapsenet_api.features.v1 import feature_service_pb2
from synapsenet_api.inference.v1 import inference_service_pb2
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2
from synapsenet_api.lifecycle.v1.operation_pb2 import OperationState
from synapsenet_api.models.v1 import model_service_pb2 as models
from synapsenet_api.monitoring.v1 import monitoring_service_pb2
from synapsenet_api.registry.v1 import registry_service_pb2
from synapsenet_api.training.v1 import training_service_pb2
from synapsenet_cli import exits
from synapsenet_cli.main import main
from tests.integration.clients.scripted import Listening

CONTRACTS = (
    analysis_service_pb2, experiment_service_pb2, feature_service_pb2, inference_service_pb2, lifecycle_service_pb2,
    models, monitoring_service_pb2, registry_service_pb2, training_service_pb2,
)  # fmt: skip
"""Imported so that the descriptor pool knows their services."""

COMMANDS = {
    "features.v1.FeatureService": {
        "CreateFeatureGroup": "features groups create g --key id=INT64 --feature a=FLOAT[2] --error-after 5m --max-age 2h",
        "GetFeatureGroup": "features groups get g",
        "ListFeatureGroups": "features groups list",
        "UpdateFeatureGroup": "features groups set-sla g --warn-after 1s",
        "DeleteFeatureGroup": "features groups delete g",
        "GetTrainingSet": "features training-sets get ts",
        "ListTrainingSets": "features training-sets list",
    },
    "monitoring.v1.MonitoringService": {
        "GetFreshness": "features freshness g --entity 1 --state FRESH",
        "WatchFreshness": "features freshness --watch",
        "RunConsistencyCheck": "monitoring consistency check g",
        "GetConsistencyReport": "monitoring consistency get r",
        "ListConsistencyReports": "monitoring consistency list",
        "ListAlerts": "monitoring alerts",
        "WatchAlerts": "monitoring alerts --watch",
        "CreateSilence": "monitoring silences create group=g --for 30m",
        "ListSilences": "monitoring silences list",
        "ExpireSilence": "monitoring silences expire s",
    },
    "models.v1.ModelService": {
        "CreateModel": "models create m --task REGRESSION --label a=b",
        "GetModel": "models get m",
        "ListModels": "models list",
        "UpdateModel": "models update m --description d",
        "DeleteModel": "models delete m",
    },
    "registry.v1.RegistryService": {
        "CreateVersion": "registry versions create m --metric accuracy=0.9",
        "GetVersion": "registry versions get m 1",
        "ListVersions": "registry versions list m --state SERVING",
        "SetVersionState": "registry versions set-state m 1 REGISTERED",
        "SetAlias": "registry aliases set m champion 1",
        "GetAlias": "registry aliases get m champion",
        "ListAliases": "registry aliases list m",
        "DeleteAlias": "registry aliases delete m champion",
    },
    "lifecycle.v1.LifecycleService": {
        "GetVersionStatus": "lifecycle status m 1",
        "ValidateVersion": "lifecycle validate m 1 --on s --label g:l --threshold accuracy>=0.95",
        "GetValidationReport": "lifecycle report m 1",
        "PromoteVersion": "lifecycle promote m 1 --traffic 1=0.9 --traffic 2=0.1",
        "TransitionVersion": "lifecycle transition m 1 train",
        "DeployVersion": "lifecycle deploy m 1 --reason because",
        "UndeployVersion": "lifecycle undeploy m 1",
        "RollBackModel": "lifecycle roll-back m",
        "ArchiveVersion": "lifecycle archive m 1",
        "ListTransitions": "lifecycle history m --version 1 --since 2026-01-01T00:00:00Z",
        "GetStateMachine": "lifecycle machine",
        "WatchEvents": "lifecycle events",
        "ListOperations": "lifecycle operations list --state NEEDS_ATTENTION --saga deploy",
        "GetOperation": "lifecycle operations get o",
        "WatchOperation": "lifecycle operations watch o",
        "WaitOperation": "lifecycle operations wait o --for 1s",
        "CancelOperation": "lifecycle operations cancel o",
        "RetryCompensation": "lifecycle operations retry o",
        "ResolveOperation": "lifecycle operations resolve o done",
    },
    "inference.v1.InferenceService": {
        "DeployModel": "inference deploy m 1",
        "UndeployModel": "inference undeploy m 1",
        "ListDeployments": "inference deployments",
        "WatchDeployments": "inference deployments --watch",
        "ListLoadedModels": "inference loaded",
    },
    "experiments.v1.ExperimentService": {
        "CreateExperiment": "experiments create e --maximize accuracy",
        "GetExperiment": "experiments get e",
        "ListExperiments": "experiments list",
        "DeleteExperiment": "experiments delete e --force",
        "ListConfigurations": "experiments configurations e",
        "CreateRun": "experiments runs create e --param lr=0.1 --param nesterov=true --seed 1",
        "GetRun": "experiments runs get r",
        "ListRuns": "experiments runs list e --state RUNNING",
        "DeleteRun": "experiments runs delete r",
        "FinishRun": "experiments runs finish r",
        "StreamMetricHistory": "experiments history r loss",
    },
    "experiments.v1.AnalysisService": {
        "SearchExperiments": "experiments search lr>0.1",
        "CompareExperiments": "experiments compare a b",
        "GetHyperparameterImportance": "experiments importance e",
    },
    "training.v1.TrainingService": {
        "CreateJob": "train run --model mlp --training-set t --input g:a --label g:b --learning-rate 0.1 --detach",
        "GetJob": "train get j",
        "ListJobs": "train list --state RUNNING",
        "CancelJob": "train cancel j",
        "ListWorkers": "train workers j",
        "ListTrainableModels": "train models",
    },
}
ENDING = ("WatchOperation", "WaitOperation")
"""Commands that end as the operation did."""
CASES = [
    pytest.param(f"synapsenet.{service}.{method}", line.split(), id=line.split(" --")[0])
    for service, commands in COMMANDS.items()
    for method, line in commands.items()
]


def filled(descriptor: Descriptor, depth: int = 3) -> Any:
    """A message with one empty item in every list, and every message that it contains."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        inner = field.message_type
        if inner is None or inner.GetOptions().map_entry or inner.full_name.startswith("google.") or not depth:
            continue
        item = filled(inner, depth - 1)
        if field.is_repeated:
            getattr(message, field.name).append(item)
        elif field.containing_oneof is None or len(field.containing_oneof.fields) == 1:
            getattr(message, field.name).CopyFrom(item)
    return message


@pytest.mark.parametrize("shape", ["json", "table"])
@pytest.mark.parametrize(("rpc", "line"), CASES)
def test_it_reads_the_contract(
    listening: Listening, capsys: pytest.CaptureFixture[str], rpc: str, line: list[str], shape: str
) -> None:
    method = descriptor_pool.Default().FindMethodByName(rpc)
    answer = filled(method.output_type)
    if method.name in ENDING:
        answer.operation.state = OperationState.OPERATION_STATE_SUCCEEDED

    def stream(request: object) -> Iterator[Any]:
        yield answer

    listening.platform.answers[method.name] = stream if method.server_streaming else answer
    listening.platform.answers.setdefault("GetModel", models.GetModelResponse())  # what deploy looks up first
    code = main(["--target", listening.target, *line, *(["--json"] if shape == "json" else [])])
    out, err = capsys.readouterr()
    assert (code, err) == (exits.OK, "")
    assert out
    if shape == "json":
        for text in out.splitlines():
            assert isinstance(json.loads(text), dict)
