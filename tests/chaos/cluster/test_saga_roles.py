"""Sagas whose coordinator and participants are processes of their own: a step reaches the role that it names."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as lifecycle_pb
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from synapsenet_api.models.v1 import model_service_pb2 as models_pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_api.registry.v1 import registry_service_pb2 as registry_pb
from synapsenet_api.registry.v1 import version_pb2
from synapsenet_api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.cluster import Cluster, small_cluster

CALL_S = 20.0
PROCESSES = {"mesh": ("mesh",), "models": ("models",), "lifecycle": ("lifecycle",), "registry": ("registry",)}


@pytest.fixture(scope="module", name="cluster")
def _cluster() -> Iterator[Cluster]:
    with small_cluster(PROCESSES, mesh={"lease_ttl_s": 3.0}) as cluster:
        yield cluster


async def test_to_archive_a_version_the_registry_seals_it_in_another_process(cluster: Cluster) -> None:
    async with cluster.channel() as channel:
        await ModelServiceStub(channel).CreateModel(models_pb.CreateModelRequest(name="digits"), timeout=CALL_S)
        registry = RegistryServiceStub(channel)
        await registry.CreateVersion(registry_pb.CreateVersionRequest(model_id="digits"), timeout=CALL_S)
        archived = version_pb2.VERSION_STATE_ARCHIVED
        request = registry_pb.SetVersionStateRequest(model_id="digits", version=1, state=archived)
        assert (await registry.SetVersionState(request, timeout=CALL_S)).version.state == archived
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await registry.SetAlias(registry_pb.SetAliasRequest(model_id="digits", alias="champion", version=1), timeout=CALL_S)
        assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        listing = lifecycle_pb.ListOperationsRequest(model_id="digits")
        found = await LifecycleServiceStub(channel).ListOperations(listing, timeout=CALL_S)
        assert [[step.name for step in operation.steps] for operation in found.operations] == [["seal"]]


async def test_without_its_coordinator_the_registry_answers_and_moves_nothing(cluster: Cluster) -> None:
    async with cluster.channel() as channel:
        registry = RegistryServiceStub(channel)
        created = (await registry.CreateVersion(registry_pb.CreateVersionRequest(model_id="digits"), timeout=CALL_S)).version
        cluster.processes["lifecycle"].kill()
        training = version_pb2.VERSION_STATE_TRAINING
        request = registry_pb.SetVersionStateRequest(model_id="digits", version=created.version, state=training)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await registry.SetVersionState(request, timeout=CALL_S)
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        read = await registry.GetVersion(
            registry_pb.GetVersionRequest(model_id="digits", version=created.version), timeout=CALL_S
        )
        assert read.version == created
