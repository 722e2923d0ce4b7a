"""The models' service on the wire."""

from __future__ import annotations

from typing import Any

from synapsenet.models.service import ModelCatalogue
from synapsenet_api.models.v1 import model_service_pb2 as pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceServicer
from synapsenet_servers.translate import models as translate
from synapsenet_servers.translate.pages import page_request
from synapsenet_servers.translate.requests import request as identity


class Models(ModelServiceServicer):
    """Translates between `ModelService` and the catalogue."""

    def __init__(self, catalogue: ModelCatalogue) -> None:
        self._catalogue = catalogue

    async def CreateModel(self, request: pb.CreateModelRequest, context: Any) -> pb.CreateModelResponse:
        model = await self._catalogue.create(translate.model_wish(request), identity(request))
        return pb.CreateModelResponse(model=translate.model(model))

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        return pb.GetModelResponse(model=translate.model(await self._catalogue.model(request.model_id)))

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        page = await self._catalogue.models(translate.model_query(request), page_request(request))
        return pb.ListModelsResponse(models=map(translate.model, page.items), next_page_token=page.next_token)

    async def UpdateModel(self, request: pb.UpdateModelRequest, context: Any) -> pb.UpdateModelResponse:
        model = await self._catalogue.update(request.model_id, translate.model_change(request), identity(request))
        return pb.UpdateModelResponse(model=translate.model(model))

    async def DeleteModel(self, request: pb.DeleteModelRequest, context: Any) -> pb.DeleteModelResponse:
        await self._catalogue.delete(request.model_id, etag=request.etag)
        return pb.DeleteModelResponse()
