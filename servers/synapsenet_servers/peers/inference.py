"""What inference needs from other areas."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc

from synapsenet.inference.model import Condition, VersionKey
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
_ON_THE_WAY = frozenset({version_pb2.VERSION_STATE_DEPLOYING, version_pb2.VERSION_STATE_SERVING})


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

    async def deploying(self, key: VersionKey) -> None:
        version = await self._version(key.model_id, key.version)
        if version.state not in _ON_THE_WAY:
            await self._set(key, version_pb2.VERSION_STATE_DEPLOYING, None, "deployed by inference")

    async def serving(self, key: VersionKey) -> None:
        await self._set(key, version_pb2.VERSION_STATE_SERVING, None, "loaded by inference")

    async def released(self, key: VersionKey, condition: Condition | None) -> None:
        version = await self._version(key.model_id, key.version)
        if version.state in _ON_THE_WAY:
            await self._set(key, version_pb2.VERSION_STATE_REGISTERED, condition, "undeployed by inference")

    async def troubled(self, key: VersionKey, condition: Condition | None) -> None:
        version = await self._version(key.model_id, key.version)
        if version.state in _ON_THE_WAY:
            await self._set(key, version.state, condition, "reloaded by inference")

    async def _version(self, model: str, version: int) -> version_pb2.Version:
        request = registry_pb.GetVersionRequest(model_id=model, version=version)
        response = await asked(self._registry.GetVersion(request, timeout=self._timeout), "registry")
        return response.version

    async def _set(
        self, key: VersionKey, state: version_pb2.VersionState.ValueType, condition: Condition | None, reason: str
    ) -> None:
        request = registry_pb.SetVersionStateRequest(
            model_id=key.model_id, version=key.version, state=state, condition=_wire(condition), reason=reason
        )
        await asked(self._registry.SetVersionState(request, timeout=self._timeout), "registry")


def _wire(condition: Condition | None) -> version_pb2.VersionCondition | None:
    return None if condition is None else version_pb2.VersionCondition(reason=condition.reason, message=condition.message)
