"""A participant that is asked in the same process, as far as it can be reached."""

from __future__ import annotations

import asyncio

from synapsenet.adapters.sql.inference import SqlInferenceWork
from synapsenet.errors import Unavailable
from synapsenet.lifecycle import ports as lifecycle_ports
from synapsenet.platform.participant import Participant
from synapsenet.platform.participation import Json, StepCall


class Asked(lifecycle_ports.Participant):
    """A participant in this process; while `reachable` is False calls to it fail.

    Attributes:
        carries_on: while clear, a step that is to be executed is on its way.
        lost: steps whose first answer is lost on its way back, though they happened.
    """

    def __init__(self, participant: Participant[SqlInferenceWork]) -> None:
        self.participant = participant
        self.reachable = True
        self.lost: set[str] = set()
        self.carries_on = asyncio.Event()
        self.carries_on.set()

    async def prepare(self, call: lifecycle_ports.StepCall, *, fence: int, timeout: float) -> Json:
        self._reach()
        return await self.participant.prepare(_step(call), fence=fence)

    async def execute(self, call: lifecycle_ports.StepCall, *, fence: int, timeout: float) -> Json:
        self._reach()
        await self.carries_on.wait()
        result = (await self.participant.execute(_step(call), fence=fence)).result
        if call.step in self.lost:
            self.lost.remove(call.step)
            raise Unavailable("PEER_UNAVAILABLE", "the answer was lost")
        return result

    async def compensate(self, call: lifecycle_ports.StepCall, compensation_input: Json, *, fence: int, timeout: float) -> None:
        self._reach()
        await self.participant.compensate(_step(call), compensation_input, fence=fence)

    def _reach(self) -> None:
        if not self.reachable:
            raise Unavailable("PEER_UNAVAILABLE", "inference does not answer")


def _step(call: lifecycle_ports.StepCall) -> StepCall:
    return StepCall(
        operation_id=call.operation_id,
        step=call.step,
        saga=call.saga,
        saga_version=call.saga_version,
        model_id=call.model_id,
        version=call.version,
        input=call.input,
    )
