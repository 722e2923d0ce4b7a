"""What the coordinator needs from other areas: what the registry knows of versions, and those who carry out steps."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from synapsenet.lifecycle.guards import VersionFacts
from synapsenet.lifecycle.machine import StateMachine
from synapsenet.lifecycle.model import Condition, Json, VersionStatus
from synapsenet.lifecycle.ports import Catalogue, Participant, StepCall
from synapsenet_api.lifecycle.v1 import participant_control_service_pb2 as step_pb
from synapsenet_api.lifecycle.v1.participant_control_service_pb2_grpc import ParticipantControlServiceStub
from synapsenet_api.models.v1 import model_service_pb2 as models_pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_api.registry.v1 import registry_control_service_pb2 as control_pb
from synapsenet_api.registry.v1 import registry_service_pb2 as registry_pb
from synapsenet_api.registry.v1 import version_pb2
from synapsenet_api.registry.v1.registry_control_service_pb2_grpc import RegistryControlServiceStub
from synapsenet_api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from synapsenet_servers.mesh.addressing import addressed_to
from synapsenet_servers.peers.failures import asked
from synapsenet_servers.translate.participation import to_fence
from synapsenet_servers.translate.structs import from_struct, to_struct
from synapsenet_servers.translate.times import to_timestamp

_PREFIX = "VERSION_STATE_"


class GrpcCatalogue(Catalogue):
    """Registry and models through their services.

    Args:
        machine: knows which original state stands for one that the registry's contract does not know.
        timeout: seconds that a call may take.
    """

    def __init__(self, *, registry: grpc.aio.Channel, models: grpc.aio.Channel, machine: StateMachine, timeout: float) -> None:
        self._registry = RegistryServiceStub(registry)
        self._control = RegistryControlServiceStub(registry)
        self._models = ModelServiceStub(models)
        self._machine = machine
        self._timeout = timeout

    async def find(self, model: str, version: int) -> VersionFacts:
        request = registry_pb.GetVersionRequest(model_id=model, version=version)
        return _facts((await asked(self._registry.GetVersion(request, timeout=self._timeout), "registry")).version)

    async def model_id(self, model: str) -> str:
        request = models_pb.GetModelRequest(model_id=model)
        response = await asked(self._models.GetModel(request, timeout=self._timeout), "models")
        return response.model.id

    async def untold(self, states: frozenset[str], *, limit: int) -> Sequence[VersionFacts]:
        shown = sorted(state for state in states if self._machine.states[state].original == state)
        if not shown:
            return ()
        wire = [version_pb2.VersionState.Value(_PREFIX + state.upper()) for state in shown]
        request = control_pb.FindUntoldVersionsRequest(states=wire, limit=limit)
        answer = await asked(self._control.FindUntoldVersions(request, timeout=self._timeout), "registry")
        return [_facts(version) for version in answer.versions]

    async def keep(self, status: VersionStatus) -> None:
        original = self._machine.states[status.state].original
        request = control_pb.KeepVersionStateRequest(
            model_id=status.model_id,
            version=status.version,
            state=version_pb2.VersionState.Value(_PREFIX + original.upper()),
            condition=None if status.condition is None else _condition(status.condition),
            sequence=status.sequence,
            change_time=to_timestamp(status.updated_at),
            reason=status.reason,
        )
        await asked(self._control.KeepVersionState(request, timeout=self._timeout), "registry")


class GrpcParticipant(Participant):
    """Another area as a participant in sagas.

    Args:
        name: what steps know it by: the area.
    """

    def __init__(self, name: str, channel: grpc.aio.Channel) -> None:
        self._name = name
        self._address = addressed_to(name)
        self._steps = ParticipantControlServiceStub(channel)

    async def prepare(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        request = step_pb.PrepareStepRequest(call=self._call(call), fence=to_fence(fence))
        response = await asked(self._steps.PrepareStep(request, timeout=timeout, metadata=self._address), self._name)
        return from_struct(response.compensation_input, field="compensation_input")

    async def execute(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        request = step_pb.ExecuteStepRequest(call=self._call(call), fence=to_fence(fence))
        response = await asked(self._steps.ExecuteStep(request, timeout=timeout, metadata=self._address), self._name)
        return from_struct(response.result, field="result")

    async def compensate(self, call: StepCall, compensation_input: Json, *, fence: int, timeout: float) -> None:
        request = step_pb.CompensateStepRequest(
            call=self._call(call), fence=to_fence(fence), compensation_input=to_struct(compensation_input)
        )
        await asked(self._steps.CompensateStep(request, timeout=timeout, metadata=self._address), self._name)

    def _call(self, call: StepCall) -> step_pb.StepCall:
        return step_pb.StepCall(
            operation_id=call.operation_id,
            step=call.step,
            saga=call.saga,
            saga_version=call.saga_version,
            model_id=call.model_id,
            version=call.version,
            participant=self._name,
            input=to_struct(call.input),
        )


def _facts(found: version_pb2.Version) -> VersionFacts:
    return VersionFacts(
        model_id=found.model_id,
        model_name=found.model_name,
        version=found.version,
        state=version_pb2.VersionState.Name(found.state).removeprefix(_PREFIX).lower(),
        artifact_sha256=found.artifact.sha256,
        aliases=tuple(found.aliases),
    )


def _condition(condition: Condition) -> version_pb2.VersionCondition:
    return version_pb2.VersionCondition(
        reason=condition.reason,
        message=condition.message,
        operation_id=condition.operation_id,
        needs_attention=condition.needs_attention,
        start_time=None if condition.since is None else to_timestamp(condition.since),
    )
