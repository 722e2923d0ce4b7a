"""The Open Inference Protocol's V2 routes over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from google.api.httpbody_pb2 import HttpBody

from synapsenet.inference.repository import Repository
from synapsenet.inference.service import Inference
from synapsenet_api.inference.v1 import open_inference_rest_service_pb2 as pb
from synapsenet_api.inference.v1.open_inference_rest_service_pb2_grpc import OpenInferenceRestServiceServicer
from synapsenet_servers.translate import open_inference_json as translate
from synapsenet_servers.translate.open_inference import PLATFORM, SERVER, selector, to_versions

Context = Any


class OpenInferenceRestServicer(OpenInferenceRestServiceServicer):
    """Translates, calls the service, translates back; long JSON is read and written off the event loop.

    Args:
        version: the platform's release.
    """

    def __init__(self, inference: Inference, repository: Repository, *, version: str) -> None:
        self._inference = inference
        self._repository = repository
        self._version = version

    async def GetServerMetadata(self, request: pb.GetServerMetadataRequest, context: Context) -> HttpBody:
        return translate.json_body({"name": SERVER, "version": self._version, "extensions": []})

    async def CheckServerLive(self, request: pb.CheckServerLiveRequest, context: Context) -> HttpBody:
        return translate.json_body({"live": True})

    async def CheckServerReady(self, request: pb.CheckServerReadyRequest, context: Context) -> HttpBody:
        self._inference.require_ready()
        return translate.json_body({"ready": True})

    async def GetModelMetadata(self, request: pb.GetModelMetadataRequest, context: Context) -> HttpBody:
        deployment, resident = await self._inference.choose(selector(request.model_name, request.model_version))
        return translate.json_body(
            {
                "name": deployment.model_name,
                "versions": to_versions(self._inference.versions(deployment.key.model_id)),
                "platform": PLATFORM,
                "inputs": [translate.metadata(spec) for spec in resident.signature.inputs],
                "outputs": [translate.metadata(spec) for spec in resident.signature.outputs],
            }
        )

    async def CheckModelReady(self, request: pb.CheckModelReadyRequest, context: Context) -> HttpBody:
        deployment, _ = await self._inference.choose(selector(request.model_name, request.model_version))
        return translate.json_body({"name": deployment.model_name, "ready": True})

    async def InferModel(self, request: pb.InferModelRequest, context: Context) -> HttpBody:
        translate.refuse_binary(context.invocation_metadata())
        content, tensors = await asyncio.to_thread(translate.request, request.body)
        prediction = await self._inference.predict(
            selector(request.model_name, request.model_version),
            tensors,
            translate.request_outputs(content),
            timeout=context.time_remaining(),
        )
        return await asyncio.to_thread(translate.response, content, prediction)

    async def IndexRepository(self, request: pb.IndexRepositoryRequest, context: Context) -> HttpBody:
        standing = self._inference.standing(serving_only=translate.ready_only(request.body))
        return translate.json_body([translate.index(deployment) for deployment in standing])

    async def LoadRepositoryModel(self, request: pb.LoadRepositoryModelRequest, context: Context) -> HttpBody:
        await self._repository.load(request.model_name, translate.repository_version(request.body))
        return translate.json_body({})

    async def UnloadRepositoryModel(self, request: pb.UnloadRepositoryModelRequest, context: Context) -> HttpBody:
        await self._repository.unload(request.model_name, translate.repository_version(request.body))
        return translate.json_body({})
