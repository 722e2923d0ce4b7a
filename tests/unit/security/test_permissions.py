"""The table of permissions, held against every RPC of the contracts."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from synapsenet.errors import InvalidArgument
from synapsenet.platform.scopes import Level, Scope, parse_scope
from synapsenet_servers.mesh.descriptors import read_descriptors
from synapsenet_servers.security.permissions import AREAS, EXCEPTIONS, LEVELS, Access, need

DESCRIPTORS = read_descriptors(Path(str(resources.files("synapsenet_api"))) / "api.binpb")
METHODS = sorted(
    f"/{file.package}.{service.name}/{method.name}"
    for file in DESCRIPTORS.file
    for service in file.service
    for method in service.method
)
MESH_ONLY = [method for method in METHODS if "ControlService/" in method or "ParameterServerService/" in method]
SCOPED = [method for method in METHODS if method not in MESH_ONLY]

# What the sentence of each RPC in the contracts says it does, for those whose names could mislead.
KNOWN = {
    "/synapsenet.features.v1.FeatureService/GetOnlineFeatures": "features:read",
    "/synapsenet.features.v1.FeatureService/StreamOnlineFeatures": "features:read",
    "/synapsenet.features.v1.FeatureService/StreamFeatures": "features:write",
    "/synapsenet.features.v1.FeatureService/WriteFeatures": "features:write",
    "/synapsenet.features.v1.FeatureService/DeleteEntities": "features:write",
    "/synapsenet.features.v1.FeatureService/ReadTrainingSet": "features:read",
    "/synapsenet.experiments.v1.ExperimentService/StreamMetricHistory": "experiments:read",
    "/synapsenet.experiments.v1.ExperimentService/LogMetrics": "experiments:write",
    "/synapsenet.experiments.v1.AnalysisService/CompareExperiments": "experiments:read",
    "/synapsenet.monitoring.v1.MonitoringService/RunConsistencyCheck": "monitoring:write",
    "/synapsenet.registry.v1.RegistryService/DownloadArtifact": "registry:read",
    "/synapsenet.registry.v1.RegistryService/SetVersionState": "registry:write",
    "/synapsenet.inference.v1.InferenceService/Predict": "inference:read",
    "/synapsenet.inference.v1.InferenceService/DeployModel": "inference:write",
    "/synapsenet.lifecycle.v1.LifecycleService/WaitOperation": "lifecycle:read",
    "/synapsenet.lifecycle.v1.LifecycleService/RollBackModel": "lifecycle:write",
    "/synapsenet.lifecycle.v1.LifecycleService/ResolveOperation": "lifecycle:admin",
    "/synapsenet.lifecycle.v1.LifecycleService/RetryCompensation": "lifecycle:admin",
    "/synapsenet.inference.v1.OpenInferenceRestService/LoadRepositoryModel": "inference:admin",
    "/inference.GRPCInferenceService/ModelInfer": "inference:read",
    "/inference.GRPCInferenceService/RepositoryIndex": "inference:read",
    "/inference.GRPCInferenceService/RepositoryModelLoad": "inference:admin",
    "/grpc.channelz.v1.Channelz/GetServers": "platform:admin",
}


def verb(method: str) -> str:
    return re.split(r"(?=[A-Z])", method.rpartition("/")[2])[1]


def test_every_rpc_of_the_contracts_has_a_row_of_its_own_making() -> None:
    assert len(SCOPED) > 90
    assert [method for method in SCOPED if verb(method) not in LEVELS] == []


def test_no_row_of_the_table_is_without_an_rpc() -> None:
    assert set(LEVELS) - {verb(method) for method in SCOPED} == set()
    assert set(EXCEPTIONS) - set(METHODS) == set()


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_for_the_mesh_alone_or_needs_a_scope_of_its_own_area(method: str) -> None:
    wanted = need(method)
    if method in MESH_ONLY:
        assert wanted.access is Access.MESH
    else:
        assert wanted.access is Access.SCOPED
        assert wanted.scope.area in AREAS
        assert wanted.scope.area in method
        assert wanted.scope.area != "platform"


@pytest.mark.parametrize(("method", "scope"), KNOWN.items())
def test_what_a_method_does_decides_its_level(method: str, scope: str) -> None:
    assert str(need(method).scope) == scope


@pytest.mark.parametrize(
    "method",
    [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ],
)
def test_health_and_reflection_are_open(method: str) -> None:
    assert need(method).access is Access.OPEN


@pytest.mark.parametrize(
    "method",
    [
        "/synapsenet.models.v1.ModelService/Frobnicate",
        "/synapsenet.nowhere.v1.ModelService/GetModel",
        "/else.Service/Get",
        "/models",
        "",
        "/synapsenet.models.v1.ModelService/GetModel/",
        "/grpc.health.v1.HealthControlService/x",
    ],
)
def test_what_the_table_does_not_know_is_closed(method: str) -> None:
    wanted = need(method)
    assert wanted.access is Access.MESH or wanted.scope.level is Level.ADMIN


def test_a_scope_allows_its_level_and_those_below_in_its_area() -> None:
    write = parse_scope("features:write")
    assert write.allows(Scope("features", Level.READ))
    assert write.allows(Scope("features", Level.WRITE))
    assert not write.allows(Scope("features", Level.ADMIN))
    assert not write.allows(Scope("models", Level.READ))
    assert parse_scope("*:admin").allows(Scope("platform", Level.ADMIN))
    assert not parse_scope("*:read").allows(Scope("models", Level.WRITE))


@pytest.mark.parametrize("text", ["", "features", "features:", ":read", "features:root", "Features:read", "*:*", "a:read b"])
def test_what_is_no_scope_is_refused_with_how_one_is_spelt(text: str) -> None:
    with pytest.raises(InvalidArgument, match="AREA:LEVEL") as refused:
        parse_scope(text)
    assert refused.value.reason == "SCOPE_INVALID"
