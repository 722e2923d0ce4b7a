"""The registry's services on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from synapsenet.registry.service import Registry
from synapsenet_api.registry.v1 import registry_control_service_pb2 as control_pb
from synapsenet_api.registry.v1 import registry_service_pb2 as pb
from synapsenet_api.registry.v1.registry_control_service_pb2_grpc import RegistryControlServiceServicer
from synapsenet_api.registry.v1.registry_service_pb2_grpc import RegistryServiceServicer
from synapsenet_servers.translate import registry as translate
from synapsenet_servers.translate.pages import page_request
from synapsenet_servers.translate.requests import request as identity


class Versions(RegistryServiceServicer):
    """Translates between `RegistryService` and the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def CreateVersion(self, request: pb.CreateVersionRequest, context: Any) -> pb.CreateVersionResponse:
        version = await self._registry.create_version(translate.version_wish(request), identity(request))
        return pb.CreateVersionResponse(version=translate.version(version))

    async def GetVersion(self, request: pb.GetVersionRequest, context: Any) -> pb.GetVersionResponse:
        version = await self._registry.version(request.model_id, request.version)
        return pb.GetVersionResponse(version=translate.version(version))

    async def ListVersions(self, request: pb.ListVersionsRequest, context: Any) -> pb.ListVersionsResponse:
        page = await self._registry.versions(request.model_id, translate.states(request), page_request(request))
        return pb.ListVersionsResponse(versions=map(translate.version, page.items), next_page_token=page.next_token)

    async def UpdateVersion(self, request: pb.UpdateVersionRequest, context: Any) -> pb.UpdateVersionResponse:
        change = translate.version_change(request)
        version = await self._registry.update_version(request.model_id, request.version, change, identity(request))
        return pb.UpdateVersionResponse(version=translate.version(version))

    async def SetVersionState(self, request: pb.SetVersionStateRequest, context: Any) -> pb.SetVersionStateResponse:
        move = translate.move(request)
        version = await self._registry.move_version(request.model_id, request.version, move, identity(request))
        return pb.SetVersionStateResponse(version=translate.version(version))

    async def UploadArtifact(
        self, requests: AsyncIterator[pb.UploadArtifactRequest], context: Any
    ) -> pb.UploadArtifactResponse:
        upload, chunks = await translate.upload(requests)
        version = await self._registry.upload(upload, chunks)
        return pb.UploadArtifactResponse(version=translate.version(version))

    async def DownloadArtifact(
        self, request: pb.DownloadArtifactRequest, context: Any
    ) -> AsyncIterator[pb.DownloadArtifactResponse]:
        artifact, chunks = await self._registry.download(request.model_id, request.version)
        yield pb.DownloadArtifactResponse(artifact=translate.artifact(artifact))
        async for chunk in chunks:
            yield pb.DownloadArtifactResponse(data=chunk)

    async def SetAlias(self, request: pb.SetAliasRequest, context: Any) -> pb.SetAliasResponse:
        alias = await self._registry.set_alias(translate.alias_wish(request), identity(request))
        return pb.SetAliasResponse(alias=translate.alias(alias))

    async def GetAlias(self, request: pb.GetAliasRequest, context: Any) -> pb.GetAliasResponse:
        return pb.GetAliasResponse(alias=translate.alias(await self._registry.alias(request.model_id, request.alias)))

    async def ListAliases(self, request: pb.ListAliasesRequest, context: Any) -> pb.ListAliasesResponse:
        page = await self._registry.aliases(request.model_id, page_request(request))
        return pb.ListAliasesResponse(aliases=map(translate.alias, page.items), next_page_token=page.next_token)

    async def DeleteAlias(self, request: pb.DeleteAliasRequest, context: Any) -> pb.DeleteAliasResponse:
        await self._registry.delete_alias(request.model_id, request.alias)
        return pb.DeleteAliasResponse()


class RegistryControl(RegistryControlServiceServicer):
    """Translates between `RegistryControlService` and the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def CloseModel(self, request: control_pb.CloseModelRequest, context: Any) -> control_pb.CloseModelResponse:
        await self._registry.close_model(request.model_id)
        return control_pb.CloseModelResponse()

    async def KeepVersionState(
        self, request: control_pb.KeepVersionStateRequest, context: Any
    ) -> control_pb.KeepVersionStateResponse:
        await self._registry.keep_standing(request.model_id, request.version, translate.standing(request))
        return control_pb.KeepVersionStateResponse()

    async def FindUntoldVersions(
        self, request: control_pb.FindUntoldVersionsRequest, context: Any
    ) -> control_pb.FindUntoldVersionsResponse:
        found = await self._registry.untold_versions(translate.states(request), limit=request.limit)
        return control_pb.FindUntoldVersionsResponse(versions=map(translate.version, found))
