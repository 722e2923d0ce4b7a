"""What models need from other areas."""

from __future__ import annotations

import grpc

from synapsenet.models.ports import VersionRegistry
from synapsenet_api.registry.v1 import registry_control_service_pb2 as pb
from synapsenet_api.registry.v1.registry_control_service_pb2_grpc import RegistryControlServiceStub
from synapsenet_servers.peers.failures import asked


class GrpcVersionRegistry(VersionRegistry):
    """The registry through its control service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._registry = RegistryControlServiceStub(channel)

    async def close(self, model_id: str, *, timeout: float) -> None:
        await asked(self._registry.CloseModel(pb.CloseModelRequest(model_id=model_id), timeout=timeout), "registry")
