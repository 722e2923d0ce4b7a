"""What the registry needs from other areas."""

from __future__ import annotations

import hashlib

import grpc

from synapsenet.errors import FailedPrecondition
from synapsenet.registry.lifecycle import Lifecycle
from synapsenet.registry.moves import Asked, Move
from synapsenet.registry.ports import ModelDirectory, ModelIdentity
from synapsenet.registry.standing import Standing
from synapsenet_api.lifecycle.v1 import lifecycle_control_service_pb2 as control_pb
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as lifecycle_pb
from synapsenet_api.lifecycle.v1.lifecycle_control_service_pb2_grpc import LifecycleControlServiceStub
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from synapsenet_api.models.v1 import model_service_pb2 as pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_servers.peers.failures import asked as answered
from synapsenet_servers.translate import registry as translate

_PEER = "lifecycle"
_UPLOAD = "upload"

# In the registry's contract it is a state that one asks for, where the coordinator's own has events and operations.
_OF_THE_STATE = frozenset({"MOVE_NOT_ALLOWED", "ARTIFACT_MISSING", "VERSION_HAS_ALIASES"})


class GrpcModelDirectory(ModelDirectory):
    """The models through their service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._models = ModelServiceStub(channel)

    async def find(self, reference: str, *, timeout: float) -> ModelIdentity:
        response = await answered(self._models.GetModel(pb.GetModelRequest(model_id=reference), timeout=timeout), "models")
        return ModelIdentity(id=response.model.id, name=response.model.name)


class GrpcLifecycle(Lifecycle):
    """The coordinator through its services."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._lifecycle = LifecycleServiceStub(channel)
        self._control = LifecycleControlServiceStub(channel)

    async def adopt(self, model_id: str, number: int, *, timeout: float) -> Standing | None:
        request = control_pb.AdoptVersionRequest(model_id=model_id, version=number)
        response = await answered(self._control.AdoptVersion(request, timeout=timeout), _PEER)
        return translate.status_standing(response.status)

    async def accepts_artifact(self, model_id: str, number: int, *, timeout: float) -> bool:
        request = lifecycle_pb.GetVersionStatusRequest(model_id=model_id, version=number)
        response = await answered(self._lifecycle.GetVersionStatus(request, timeout=timeout), _PEER)
        return _UPLOAD in response.status.allowed_events

    async def take_artifact(self, model_id: str, number: int, sha256: str, *, timeout: float) -> Standing | None:
        reason = "artifact uploaded"
        request = lifecycle_pb.TransitionVersionRequest(
            model_id=model_id,
            version=number,
            event=_UPLOAD,
            intent=lifecycle_pb.Intent(reason=reason),
            request_id="upload/" + hashlib.sha256(f"{model_id}/{number}/{sha256}".encode()).hexdigest(),
        )
        response = await answered(self._lifecycle.TransitionVersion(request, timeout=timeout), _PEER)
        return translate.status_standing(response.status, reason=reason)

    async def move(self, asked: Asked, move: Move, *, timeout: float) -> Standing | None:
        request = control_pb.MoveVersionRequest(
            model_id=asked.model_id,
            version=asked.number,
            state=move.to.value,
            condition=None if move.condition is None else translate.wished_condition(move.condition),
            reason=move.reason,
            request_id=asked.request_id,
            expected_sequence=asked.sequence,
        )
        try:
            response = await answered(self._control.MoveVersion(request, timeout=timeout), _PEER)
        except FailedPrecondition as refusal:
            if refusal.reason in _OF_THE_STATE:
                refusal.field = "state"
            raise
        return translate.status_standing(response.status, reason=move.reason)
