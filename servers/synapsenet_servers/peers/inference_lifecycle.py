"""What inference asks of the lifecycle coordinator, and tells it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc

from synapsenet.errors import DeadlineExceeded, FailedPrecondition, Internal, SynapseError
from synapsenet.inference.model import Condition, VersionKey
from synapsenet.inference.ports import Lifecycle
from synapsenet.platform.participation import Json
from synapsenet_api.lifecycle.v1 import lifecycle_control_service_pb2 as control_pb
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as pb
from synapsenet_api.lifecycle.v1 import operation_pb2, version_status_pb2
from synapsenet_api.lifecycle.v1.lifecycle_control_service_pb2_grpc import LifecycleControlServiceStub
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from synapsenet_servers.peers.failures import asked, told
from synapsenet_servers.translate.structs import to_struct
from synapsenet_servers.translate.times import to_duration, to_timestamp

_LONGEST_WAIT_S = 20.0
_ANSWER_S = 10.0

_UNENDED = frozenset(
    {
        operation_pb2.OPERATION_STATE_WAITING,
        operation_pb2.OPERATION_STATE_RUNNING,
        operation_pb2.OPERATION_STATE_COMPENSATING,
        operation_pb2.OPERATION_STATE_NEEDS_ATTENTION,
    }
)


class GrpcLifecycle(Lifecycle):
    """The coordinator through its services.

    Args:
        timeout: seconds that a call may take.
        patience: seconds that an operation may wait for another on its model.
        longest: seconds that the end of an operation is waited for.
    """

    def __init__(self, channel: grpc.aio.Channel, *, timeout: float, patience: float, longest: float) -> None:
        self._lifecycle = LifecycleServiceStub(channel)
        self._control = LifecycleControlServiceStub(channel)
        self._timeout = timeout
        self._patience = to_duration(timedelta(seconds=patience))
        self._longest = longest

    async def begin_deployment(self, key: VersionKey, *, options: Json) -> str:
        request = pb.DeployVersionRequest(
            model_id=key.model_id,
            version=key.version,
            keep_previous=True,
            options=to_struct(options),
            intent=pb.Intent(reason="deployed by inference", wait=self._patience),
        )
        try:
            answer = await asked(self._lifecycle.DeployVersion(request, timeout=self._timeout), "lifecycle")
        except FailedPrecondition as refusal:
            raise _in_states(refusal, "deploying") from refusal
        return answer.operation.id

    async def begin_undeployment(self, key: VersionKey) -> str:
        intent = pb.Intent(reason="undeployed by inference", wait=self._patience)
        request = pb.UndeployVersionRequest(model_id=key.model_id, version=key.version, intent=intent)
        try:
            answer = await asked(self._lifecycle.UndeployVersion(request, timeout=self._timeout), "lifecycle")
        except FailedPrecondition as refusal:
            raise _in_states(refusal, "registered") from refusal
        return answer.operation.id

    async def end(self, operation_id: str) -> None:
        try:
            async with asyncio.timeout(self._longest):
                operation = await self._wait(operation_id)
                while operation.state in _UNENDED:
                    operation = await self._wait(operation_id)
        except TimeoutError as error:
            raise DeadlineExceeded(
                "OPERATION_UNENDED",
                f"operation {operation_id} goes on for more than {self._longest:g} s",
                remedy="watch it to its end",
                metadata={"operation_id": operation_id},
            ) from error
        if operation.state != operation_pb2.OPERATION_STATE_SUCCEEDED:
            raise _in_states(_failure(operation), "deploying")

    async def report(self, key: VersionKey, *, reporter: str, condition: Condition | None) -> None:
        request = control_pb.ReportConditionRequest(model_id=key.model_id, version=key.version, reporter=reporter)
        if condition is not None:
            said = version_status_pb2.Condition(
                reason=condition.reason, message=condition.message, start_time=to_timestamp(condition.since)
            )
            request.condition.CopyFrom(said)
        await asked(self._control.ReportCondition(request, timeout=self._timeout), "lifecycle")

    async def _wait(self, operation_id: str) -> operation_pb2.Operation:
        wait = to_duration(timedelta(seconds=_LONGEST_WAIT_S))
        request = pb.WaitOperationRequest(operation_id=operation_id, timeout=wait)
        call = self._lifecycle.WaitOperation(request, timeout=_LONGEST_WAIT_S + _ANSWER_S)
        return (await asked(call, "lifecycle")).operation


def _failure(operation: operation_pb2.Operation) -> SynapseError:
    """Why it did not succeed, in the words of whoever carried it out."""
    raised = told(operation.error) if operation.HasField("error") else None
    return raised or Internal("OPERATION_FAILED", f"operation {operation.id} did not succeed")


def _in_states(refusal: SynapseError, target: str) -> SynapseError:
    """A refusal that names events, in the terms of contracts that know states alone; any other one as it is."""
    if refusal.reason != "TRANSITION_NOT_ALLOWED" or not isinstance(refusal, FailedPrecondition):
        return refusal
    title = refusal.message.removeprefix("version ").partition(" ")[0]
    state, allowed = refusal.metadata.get("state", ""), refusal.metadata.get("targets", "")
    return FailedPrecondition(
        "MOVE_NOT_ALLOWED",
        f"version {title} is {state} and cannot become {target}",
        field="state",
        remedy=f"from {state} it can become {allowed.replace(',', ', ')}" if allowed else "create a new version",
        metadata={"state": state, "allowed": allowed},
    )
