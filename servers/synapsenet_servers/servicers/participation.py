"""Taking part in sagas, on the wire: one service a process, whichever areas it hosts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synapsenet.errors import NotFound
from synapsenet.platform.participant import Participant
from synapsenet_api.lifecycle.v1 import participant_control_service_pb2 as pb
from synapsenet_api.lifecycle.v1.participant_control_service_pb2_grpc import ParticipantControlServiceServicer
from synapsenet_servers.translate import participation as translate
from synapsenet_servers.translate.structs import from_struct, to_struct


class ParticipantControl(ParticipantControlServiceServicer):
    """Translates between `ParticipantControlService` and the participants of this process."""

    def __init__(self, participants: Iterable[Participant[Any]]) -> None:
        self._participants = {participant.name: participant for participant in participants}

    async def PrepareStep(self, request: pb.PrepareStepRequest, context: Any) -> pb.PrepareStepResponse:
        call, fence = translate.step_call(request.call), translate.fence(request.fence)
        needed = await self._addressed(request.call).prepare(call, fence=fence)
        return pb.PrepareStepResponse(compensation_input=to_struct(needed))

    async def ExecuteStep(self, request: pb.ExecuteStepRequest, context: Any) -> pb.ExecuteStepResponse:
        call, fence = translate.step_call(request.call), translate.fence(request.fence)
        outcome = await self._addressed(request.call).execute(call, fence=fence)
        return pb.ExecuteStepResponse(result=to_struct(outcome.result), repeated_call=outcome.repeated)

    async def CompensateStep(self, request: pb.CompensateStepRequest, context: Any) -> pb.CompensateStepResponse:
        call, fence = translate.step_call(request.call), translate.fence(request.fence)
        prepared = from_struct(request.compensation_input, field="compensation_input")
        outcome = await self._addressed(request.call).compensate(call, prepared, fence=fence)
        return pb.CompensateStepResponse(repeated_call=outcome.repeated)

    def _addressed(self, call: pb.StepCall) -> Participant[Any]:
        if (participant := self._participants.get(call.participant)) is None:
            raise NotFound(
                "PARTICIPANT_UNKNOWN",
                f"{call.participant[:64]!r} does not take part in sagas here",
                field="call.participant",
                remedy=f"ask one of {', '.join(sorted(self._participants))}",
            )
        return participant
