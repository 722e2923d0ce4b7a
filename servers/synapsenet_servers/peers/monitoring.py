"""What monitoring needs from other areas."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from synapsenet.monitoring.model import GroupAges
from synapsenet.monitoring.ports import AgeSource
from synapsenet_api.features.v1 import feature_control_service_pb2 as pb
from synapsenet_api.features.v1.feature_control_service_pb2_grpc import FeatureControlServiceStub
from synapsenet_servers.peers.failures import translated
from synapsenet_servers.translate.monitoring import group_ages

_OUR_WORDS = {"groups": "group", "entities": "entity"}


class GrpcAgeSource(AgeSource):
    """The feature store through its control service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._features = FeatureControlServiceStub(channel)

    async def groups(self, names: Sequence[str], *, timeout: float) -> list[str]:
        pieces = await self._read(pb.StreamAgesRequest(groups=names, groups_only=True), timeout)
        return [piece.group.name for piece in pieces if piece.HasField("group")]

    async def ages(self, group: str, entities: Sequence[str], *, timeout: float) -> GroupAges:
        pieces = await self._read(pb.StreamAgesRequest(groups=[group], entities=entities), timeout)
        return group_ages(pieces)

    async def _read(self, request: pb.StreamAgesRequest, timeout: float) -> list[pb.StreamAgesResponse]:
        try:
            return [piece async for piece in self._features.StreamAges(request, timeout=timeout)]
        except grpc.aio.AioRpcError as error:
            refusal = translated(error, "features")
            refusal.field = _OUR_WORDS.get(refusal.field, refusal.field)
            raise refusal from error
