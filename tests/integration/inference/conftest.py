"""Models, registry, lifecycle and inference in one process, as a client meets them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from synapsenet.testing.onnx_models import exact_model
from synapsenet_api.inference.v1 import inference_service_pb2 as inference_pb
from synapsenet_api.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from synapsenet_api.models.v1 import model_service_pb2 as models_pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_api.registry.v1 import artifact_pb2, version_pb2
from synapsenet_api.registry.v1 import registry_service_pb2 as registry_pb
from synapsenet_api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.serving import serving_roles

Serving = Callable[[], AbstractAsyncContextManager["Client"]]


class Client:
    """What a caller does before and with a deployment."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.models = ModelServiceStub(channel)
        self.registry = RegistryServiceStub(channel)
        self.inference = InferenceServiceStub(channel)

    async def upload(self, name: str = "exact", artifact: bytes | None = None) -> version_pb2.Version:
        """A new version of the model `name` with its artifact, which has yet to prove itself."""
        artifact = exact_model() if artifact is None else artifact
        listed = await self.models.ListModels(models_pb.ListModelsRequest(name_prefix=name))
        if not any(model.name == name for model in listed.models):
            await self.models.CreateModel(models_pb.CreateModelRequest(name=name))
        created = await self.registry.CreateVersion(registry_pb.CreateVersionRequest(model_id=name))
        version = created.version
        header = registry_pb.UploadArtifactHeader(
            model_id=version.model_id,
            version=version.version,
            format=artifact_pb2.ARTIFACT_FORMAT_ONNX,
            sha256=hashlib.sha256(artifact).hexdigest(),
            size_bytes=len(artifact),
        )
        parts = [registry_pb.UploadArtifactRequest(header=header), registry_pb.UploadArtifactRequest(data=artifact)]
        await self.registry.UploadArtifact(iter(parts))
        return version

    async def register(self, name: str = "exact", artifact: bytes | None = None) -> version_pb2.Version:
        """A new version of the model `name`, ready to be deployed."""
        version = await self.upload(name, artifact)
        registered = await self.registry.SetVersionState(
            registry_pb.SetVersionStateRequest(
                model_id=version.model_id, version=version.version, state=version_pb2.VERSION_STATE_REGISTERED
            )
        )
        return registered.version

    async def deploy(self, version: version_pb2.Version, request_id: str = "") -> inference_pb.DeployModelResponse:
        request = inference_pb.DeployModelRequest(request_id=request_id, model_id=version.model_id, version=version.version)
        return await self.inference.DeployModel(request, timeout=30)

    async def undeploy(self, version: version_pb2.Version, request_id: str = "") -> inference_pb.UndeployModelResponse:
        request = inference_pb.UndeployModelRequest(request_id=request_id, model_id=version.model_id, version=version.version)
        return await self.inference.UndeployModel(request, timeout=30)

    async def state(self, version: version_pb2.Version) -> version_pb2.Version:
        """The version as the registry has it now."""
        request = registry_pb.GetVersionRequest(model_id=version.model_id, version=version.version)
        return (await self.registry.GetVersion(request)).version


@asynccontextmanager
async def hosted(folder: Path) -> AsyncIterator[int]:
    """The roles on `folder`; gives their port."""
    areas = "models", "registry", "lifecycle", "inference"
    async with serving_roles(folder / "data", *areas, lifecycle={"lease_s": 1.0}, inference={"lock_ttl_s": 1.0}) as roles:
        yield roles.port


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """Start the roles on this test's data; again after the last one ended."""

    @asynccontextmanager
    async def serve() -> AsyncIterator[Client]:
        async with hosted(tmp_path) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Client(channel)

    return serve


@pytest.fixture
async def client(serving: Serving) -> AsyncIterator[Client]:
    async with serving() as client:
        yield client
