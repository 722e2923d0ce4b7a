"""What inference needs from the registry, from models, and of the table of states."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc

from synapsenet.inference.model import VersionKey
from synapsenet.inference.ports import RegisteredVersion, Registry
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as lifecycle_pb
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from synapsenet_api.lifecycle.v1.state_machine_pb2 import StateMachine
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
_DEPLOY = "deploy"


class GrpcRegistry(Registry):
    """Registry, models and the coordinator's table through their services.

    Args:
        timeout: seconds that a unary call may take.
        download_timeout: seconds that a download may take.
    """

    def __init__(
        self,
        *,
        registry: grpc.aio.Channel,
        models: grpc.aio.Channel,
        lifecycle: grpc.aio.Channel,
        timeout: float,
        download_timeout: float,
    ) -> None:
        self._registry = RegistryServiceStub(registry)
        self._models = ModelServiceStub(models)
        self._lifecycle = LifecycleServiceStub(lifecycle)
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
        asking = self._lifecycle.GetStateMachine(lifecycle_pb.GetStateMachineRequest(), timeout=self._timeout)
        states = deployable((await asked(asking, "lifecycle")).machine)
        request = registry_pb.ListVersionsRequest(model_id=model, states=states, page_size=1)
        response = await asked(self._registry.ListVersions(request, timeout=self._timeout), "registry")
        return response.versions[0].version if response.versions else None

    async def _version(self, model: str, version: int) -> version_pb2.Version:
        request = registry_pb.GetVersionRequest(model_id=model, version=version)
        response = await asked(self._registry.GetVersion(request, timeout=self._timeout), "registry")
        return response.version


def deployable(machine: StateMachine) -> list[version_pb2.VersionState.ValueType]:
    """Where the table has versions that may be deployed, are being, or were, in the terms of the registry's contract."""
    begun = {rule.target for rule in machine.rules if rule.event == _DEPLOY}
    found = begun | {rule.source for rule in machine.rules if rule.event == _DEPLOY}
    found |= {rule.target for rule in machine.rules if rule.source in begun}
    shown = {state.legacy_name for state in machine.states if state.name in found}
    return sorted(version_pb2.VersionState.Value(f"VERSION_STATE_{name.upper()}") for name in shown)
