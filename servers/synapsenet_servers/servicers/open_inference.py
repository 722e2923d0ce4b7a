"""The Open Inference Protocol over gRPC."""

from __future__ import annotations

from typing import Any

from synapsenet.inference.repository import Repository
from synapsenet.inference.service import Inference
from synapsenet_api.open_inference import grpc_service_pb2 as pb
from synapsenet_api.open_inference.grpc_service_pb2_grpc import GRPCInferenceServiceServicer
from synapsenet_servers.translate import open_inference as translate

Context = Any


class OpenInferenceServicer(GRPCInferenceServiceServicer):
    """Translates, calls the service, translates back.

    Args:
        version: the platform's release.
    """

    def __init__(self, inference: Inference, repository: Repository, *, version: str) -> None:
        self._inference = inference
        self._repository = repository
        self._version = version

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._inference.ready)

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        ready = await self._inference.model_ready(translate.selector(request.name, request.version))
        return pb.ModelReadyResponse(ready=ready)

    async def ServerMetadata(self, request: pb.ServerMetadataRequest, context: Context) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name=translate.SERVER, version=self._version)

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Context) -> pb.ModelMetadataResponse:
        deployment, resident = await self._inference.choose(translate.selector(request.name, request.version))
        return pb.ModelMetadataResponse(
            name=deployment.model_name,
            versions=translate.to_versions(self._inference.versions(deployment.key.model_id)),
            platform=translate.PLATFORM,
            inputs=[translate.to_metadata(spec) for spec in resident.signature.inputs],
            outputs=[translate.to_metadata(spec) for spec in resident.signature.outputs],
        )

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        prediction = await self._inference.predict(
            translate.selector(request.model_name, request.model_version),
            translate.tensors(request),
            [output.name for output in request.outputs],
            timeout=context.time_remaining(),
        )
        return translate.to_response(request, prediction)

    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest, context: Context) -> pb.RepositoryIndexResponse:
        standing = self._inference.standing(serving_only=request.ready)
        return pb.RepositoryIndexResponse(models=[translate.to_index(deployment) for deployment in standing])

    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        await self._repository.load(request.model_name, translate.wished_version(translate.parameters(request)))
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        await self._repository.unload(request.model_name, translate.wished_version(translate.parameters(request)))
        return pb.RepositoryModelUnloadResponse()
