"""What the registry needs from other areas."""

from __future__ import annotations

import grpc

from synapsenet.registry.ports import ModelDirectory, ModelIdentity
from synapsenet_api.models.v1 import model_service_pb2 as pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_servers.peers.failures import asked


class GrpcModelDirectory(ModelDirectory):
    """The models through their service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._models = ModelServiceStub(channel)

    async def find(self, reference: str, *, timeout: float) -> ModelIdentity:
        response = await asked(self._models.GetModel(pb.GetModelRequest(model_id=reference), timeout=timeout), "models")
        return ModelIdentity(id=response.model.id, name=response.model.name)
