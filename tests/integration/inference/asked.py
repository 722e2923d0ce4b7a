"""Replicas that the coordinator asks in the same process, as far as they can be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from synapsenet.adapters.sql.inference import SqlInferenceWork
from synapsenet.errors import Unavailable
from synapsenet.lifecycle import ports as lifecycle_ports
from synapsenet.platform.participant import Participant
from synapsenet.platform.participation import Json, StepCall


class Asked(lifecycle_ports.Participant):
    """One participant on several replicas in this process, the first of which is asked; while `reachable` is False calls fail.

    Attributes:
        elsewhere: the places of the replicas that are asked for other steps, by name.
        carries_on: while clear, a step that is to be executed is on its way.
        lost: steps whose first answer is lost on its way back, though they happened.
    """

    def __init__(self, replicas: Sequence[Participant[SqlInferenceWork]]) -> None:
        self._replicas = replicas
        self.elsewhere: dict[str, int] = {}
        self.reachable = True
        self.lost: set[str] = set()
        self.carries_on = asyncio.Event()
        self.carries_on.set()

    async def prepare(self, call: lifecycle_ports.StepCall, *, fence: int, timeout: float) -> Json:
        self._reach()
        return await self._asked_for(call).prepare(_step(call), fence=fence)

    async def execute(self, call: lifecycle_ports.StepCall, *, fence: int, timeout: float) -> Json:
        self._reach()
        await self.carries_on.wait()
        result = (await self._asked_for(call).execute(_step(call), fence=fence)).result
        if call.step in self.lost:
            self.lost.remove(call.step)
            raise Unavailable("PEER_UNAVAILABLE", "the answer was lost")
        return result

    async def compensate(self, call: lifecycle_ports.StepCall, compensation_input: Json, *, fence: int, timeout: float) -> None:
        self._reach()
        await self._asked_for(call).compensate(_step(call), compensation_input, fence=fence)

    def _asked_for(self, call: lifecycle_ports.StepCall) -> Participant[SqlInferenceWork]:
        return self._replicas[self.elsewhere.get(call.step, 0)]

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
