"""What inference needs from the registry and from models."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc

from synapsenet.inference.model import VersionKey
from synapsenet.inference.ports import RegisteredVersion, Registry
from synapsenet_api.models.v1 import model_service_pb2 as models_pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_api.registry.v1 import artifact_pb2, version_pb2
from synapsenet_api.registry.v1 import registry_service_pb2 as registry_pb
from synapsenet_api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from synapsenet_servers.peers.failures import asked, translated

_FORMATS = {
    artifact_pb2.ARTIFACT_FORMAT_ONNX: "onnx",
    artifact_pb2.ARTIFACT_FORMAT_SAFETENSORS: "safetensors",
}
_DEPLOYABLE = (
    version_pb2.VERSION_STATE_REGISTERED,
    version_pb2.VERSION_STATE_DEPLOYING,
    version_pb2.VERSION_STATE_SERVING,
)


class GrpcRegistry(Registry):
    """Registry and models through their services.

    Args:
        timeout: seconds that a unary call may take.
        download_timeout: seconds that a download may take.
    """

    def __init__(
        self, *, registry: grpc.aio.Channel, models: grpc.aio.Channel, timeout: float, download_timeout: float
    ) -> None:
        self._registry = RegistryServiceStub(registry)
        self._models = ModelServiceStub(models)
        self._timeout = timeout
        self._download_timeout = download_timeout

    async def find(self, model: str, version: int) -> RegisteredVersion:
        found = await self._version(model, version)
        return RegisteredVersion(
            key=VersionKey(found.model_id, found.version),
            model_name=found.model_name,
            artifact_sha256=found.artifact.sha256,
            artifact_size=found.artifact.size_bytes,
            artifact_format=_FORMATS.get(found.artifact.format, ""),
        )

    async def resolve(self, model: str, alias: str) -> int:
        request = registry_pb.GetAliasRequest(model_id=model, alias=alias)
        response = await asked(self._registry.GetAlias(request, timeout=self._timeout), "registry")
        return response.alias.version

    async def require(self, model: str) -> None:
        request = models_pb.GetModelRequest(model_id=model)
        await asked(self._models.GetModel(request, timeout=self._timeout), "models")

    async def download(self, key: VersionKey) -> AsyncIterator[bytes]:
        request = registry_pb.DownloadArtifactRequest(model_id=key.model_id, version=key.version)
        call = self._registry.DownloadArtifact(request, timeout=self._download_timeout)
        try:
            async for part in call:
                if part.WhichOneof("part") == "data":
                    yield part.data
        except grpc.aio.AioRpcError as error:
            raise translated(error, "registry") from error
        finally:
            call.cancel()

    async def newest(self, model: str) -> int | None:
        request = registry_pb.ListVersionsRequest(model_id=model, states=_DEPLOYABLE, page_size=1)
        response = await asked(self._registry.ListVersions(request, timeout=self._timeout), "registry")
        return response.versions[0].version if response.versions else None

    async def _version(self, model: str, version: int) -> version_pb2.Version:
        request = registry_pb.GetVersionRequest(model_id=model, version=version)
        response = await asked(self._registry.GetVersion(request, timeout=self._timeout), "registry")
        return response.version
