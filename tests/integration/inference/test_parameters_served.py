"""What people are told who want to serve parameters alone, as a training job leaves them: how to make a model of them."""

from __future__ import annotations

import hashlib

import numpy as np
from safetensors.numpy import save

from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as lifecycle_pb
from synapsenet_api.lifecycle.v1 import operation_pb2
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from synapsenet_api.registry.v1 import artifact_pb2, version_pb2
from synapsenet_api.registry.v1 import registry_service_pb2 as registry_pb
from tests.integration.inference.conftest import Client

PARAMETERS = save({"layer.0.weight": np.ones((4, 3), np.float32), "layer.0.bias": np.zeros(4, np.float32)})
TOLD = "an artifact of format 'safetensors' cannot be deployed: export the model to ONNX and upload it as a new version"


async def uploaded(client: Client) -> version_pb2.Version:
    """A version whose artifact is parameters, vouched for by a person."""
    version = await client.upload()
    created = await client.registry.CreateVersion(registry_pb.CreateVersionRequest(model_id=version.model_id))
    header = registry_pb.UploadArtifactHeader(
        model_id=version.model_id,
        version=created.version.version,
        format=artifact_pb2.ARTIFACT_FORMAT_SAFETENSORS,
        sha256=hashlib.sha256(PARAMETERS).hexdigest(),
        size_bytes=len(PARAMETERS),
    )
    parts = [registry_pb.UploadArtifactRequest(header=header), registry_pb.UploadArtifactRequest(data=PARAMETERS)]
    await client.registry.UploadArtifact(iter(parts))
    registered = registry_pb.SetVersionStateRequest(
        model_id=version.model_id, version=created.version.version, state=version_pb2.VERSION_STATE_REGISTERED
    )
    return (await client.registry.SetVersionState(registered)).version


async def test_parameters_alone_are_not_deployed_and_the_operation_and_the_version_say_what_to_do(client: Client) -> None:
    version = await uploaded(client)
    lifecycle = LifecycleServiceStub(client.channel)
    wish = lifecycle_pb.DeployVersionRequest(model_id=version.model_id, version=version.version)
    begun = (await lifecycle.DeployVersion(wish, timeout=10)).operation
    wait = lifecycle_pb.WaitOperationRequest(operation_id=begun.id)
    wait.timeout.seconds = 20
    ended = (await lifecycle.WaitOperation(wait, timeout=30)).operation
    assert ended.state == operation_pb2.OPERATION_STATE_COMPENSATED
    assert ended.error.message == TOLD
    shown = await client.state(version)
    assert shown.state == version_pb2.VERSION_STATE_REGISTERED
    assert (shown.condition.reason, shown.condition.message) == ("FORMAT_UNSUPPORTED", TOLD)
