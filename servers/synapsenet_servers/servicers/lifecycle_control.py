"""What the platform's own services tell the coordinator, on the wire."""

from __future__ import annotations

from typing import Any

from synapsenet.lifecycle.coordinator import Coordinator
from synapsenet.lifecycle.model import VersionStatus
from synapsenet.lifecycle.wishes import Patience
from synapsenet_api.lifecycle.v1 import lifecycle_control_service_pb2 as pb
from synapsenet_api.lifecycle.v1 import version_status_pb2
from synapsenet_api.lifecycle.v1.lifecycle_control_service_pb2_grpc import LifecycleControlServiceServicer
from synapsenet_servers.translate import lifecycle as translate
from synapsenet_servers.translate.requests import request as identity


class CoordinationControl(LifecycleControlServiceServicer):
    """Translates between `LifecycleControlService` and the coordinator."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def AdoptVersion(self, request: pb.AdoptVersionRequest, context: Any) -> pb.AdoptVersionResponse:
        status = await self._coordinator.adopt(request.model_id, request.version, translate.caller())
        return pb.AdoptVersionResponse(status=self._status(status))

    async def MoveVersion(self, request: pb.MoveVersionRequest, context: Any) -> pb.MoveVersionResponse:
        status = await self._coordinator.move(
            request.model_id,
            request.version,
            request.state,
            condition=translate.condition(request.condition) if request.HasField("condition") else None,
            caller=translate.caller(reason=request.reason, request_id=request.request_id, by=request.actor),
            patience=Patience(expected=request.expected_sequence if request.HasField("expected_sequence") else None),
            request=identity(request),
        )
        return pb.MoveVersionResponse(status=self._status(status))

    async def ReportCondition(self, request: pb.ReportConditionRequest, context: Any) -> pb.ReportConditionResponse:
        status = await self._coordinator.report_condition(
            request.model_id,
            request.version,
            request.reporter,
            translate.condition(request.condition) if request.HasField("condition") else None,
        )
        return pb.ReportConditionResponse(status=self._status(status))

    def _status(self, status: VersionStatus) -> version_status_pb2.VersionStatus:
        return translate.version_status(status, self._coordinator.allowed(status))
