"""The coordinator on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from synapsenet.lifecycle import watching
from synapsenet.lifecycle.diagram import diagram
from synapsenet.lifecycle.model import VersionStatus
from synapsenet.lifecycle.service import Lifecycle
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as pb
from synapsenet_api.lifecycle.v1 import version_status_pb2
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceServicer
from synapsenet_servers.translate import lifecycle as translate
from synapsenet_servers.translate import lifecycle_operations as operations
from synapsenet_servers.translate.lifecycle_machine import state_machine
from synapsenet_servers.translate.pages import page_request
from synapsenet_servers.translate.requests import request as identity
from synapsenet_servers.translate.times import from_duration

_SPARED = 0.05  # of a caller's time, for the answer's way back


class Coordination(LifecycleServiceServicer):
    """Translates between `LifecycleService` and the coordinator.

    Args:
        longest_wait_s: seconds that a wait may take whose caller sets no limit.
    """

    def __init__(self, lifecycle: Lifecycle, *, longest_wait_s: float) -> None:
        self._lifecycle = lifecycle
        self._coordinator = lifecycle.coordinator
        self._desk = lifecycle.desk
        self._longest_wait_s = longest_wait_s

    async def TransitionVersion(self, request: pb.TransitionVersionRequest, context: Any) -> pb.TransitionVersionResponse:
        status = await self._coordinator.transition(
            request.model_id,
            request.version,
            request.event,
            condition=translate.condition(request.condition) if request.HasField("condition") else None,
            caller=translate.caller(reason=request.intent.reason, request_id=request.request_id),
            patience=translate.patience(request.intent),
            request=identity(request),
        )
        return pb.TransitionVersionResponse(status=self._status(status))

    async def ValidateVersion(self, request: pb.ValidateVersionRequest, context: Any) -> pb.ValidateVersionResponse:
        operation = await self._coordinator.validate(
            request.model_id, request.version, translate.validation_wish(request), **_wish(request)
        )
        return pb.ValidateVersionResponse(operation=operations.operation(operation))

    async def GetValidationReport(self, request: pb.GetValidationReportRequest, context: Any) -> pb.GetValidationReportResponse:
        found = await self._coordinator.report(request.model_id, request.version)
        return pb.GetValidationReportResponse(report=translate.report(found))

    async def DeployVersion(self, request: pb.DeployVersionRequest, context: Any) -> pb.DeployVersionResponse:
        operation = await self._coordinator.deploy(
            request.model_id, request.version, translate.deploy_wish(request), **_wish(request)
        )
        return pb.DeployVersionResponse(operation=operations.operation(operation))

    async def UndeployVersion(self, request: pb.UndeployVersionRequest, context: Any) -> pb.UndeployVersionResponse:
        operation = await self._coordinator.undeploy(request.model_id, request.version, **_wish(request))
        return pb.UndeployVersionResponse(operation=operations.operation(operation))

    async def RollBackModel(self, request: pb.RollBackModelRequest, context: Any) -> pb.RollBackModelResponse:
        version = request.version if request.HasField("version") else None
        operation = await self._coordinator.roll_back(request.model_id, version, **_wish(request))
        return pb.RollBackModelResponse(operation=operations.operation(operation))

    async def PromoteVersion(self, request: pb.PromoteVersionRequest, context: Any) -> pb.PromoteVersionResponse:
        operation = await self._coordinator.promote(
            request.model_id, request.version, translate.promote_wish(request), **_wish(request)
        )
        return pb.PromoteVersionResponse(operation=operations.operation(operation))

    async def ArchiveVersion(self, request: pb.ArchiveVersionRequest, context: Any) -> pb.ArchiveVersionResponse:
        operation = await self._coordinator.archive(request.model_id, request.version, **_wish(request))
        return pb.ArchiveVersionResponse(operation=operations.operation(operation))

    async def GetVersionStatus(self, request: pb.GetVersionStatusRequest, context: Any) -> pb.GetVersionStatusResponse:
        status, allowed = await self._coordinator.status(request.model_id, request.version)
        return pb.GetVersionStatusResponse(status=translate.version_status(status, allowed))

    async def ListTransitions(self, request: pb.ListTransitionsRequest, context: Any) -> pb.ListTransitionsResponse:
        query = translate.history_query(request)
        page = await self._coordinator.history(request.model_id, query, page_request(request))
        return pb.ListTransitionsResponse(transitions=map(translate.transition, page.items), next_page_token=page.next_token)

    async def GetOperation(self, request: pb.GetOperationRequest, context: Any) -> pb.GetOperationResponse:
        return pb.GetOperationResponse(operation=operations.operation(await self._desk.get(request.operation_id)))

    async def ListOperations(self, request: pb.ListOperationsRequest, context: Any) -> pb.ListOperationsResponse:
        query = translate.operation_query(request, model_id=await self._model_id(request.model_id))
        page = await self._desk.page(query, page_request(request))
        return pb.ListOperationsResponse(operations=map(operations.operation, page.items), next_page_token=page.next_token)

    async def WatchOperation(self, request: pb.WatchOperationRequest, context: Any) -> AsyncIterator[pb.WatchOperationResponse]:
        async with aclosing(self._desk.watch(request.operation_id)) as changes:  # type: ignore[type-var]  # it is a generator
            async for operation in changes:
                yield pb.WatchOperationResponse(operation=operations.operation(operation))

    async def WaitOperation(self, request: pb.WaitOperationRequest, context: Any) -> pb.WaitOperationResponse:
        longest = (context.time_remaining() or self._longest_wait_s) * (1 - _SPARED)
        if request.HasField("timeout"):
            longest = min(longest, from_duration(request.timeout, field="timeout").total_seconds())
        operation = await self._desk.wait(request.operation_id, timeout=longest)
        return pb.WaitOperationResponse(operation=operations.operation(operation))

    async def CancelOperation(self, request: pb.CancelOperationRequest, context: Any) -> pb.CancelOperationResponse:
        caller = translate.caller(reason=request.reason, request_id=request.request_id)
        operation = await self._desk.cancel(request.operation_id, caller, identity(request))
        return pb.CancelOperationResponse(operation=operations.operation(operation))

    async def RetryCompensation(self, request: pb.RetryCompensationRequest, context: Any) -> pb.RetryCompensationResponse:
        operation = await self._desk.retry(request.operation_id, identity(request))
        return pb.RetryCompensationResponse(operation=operations.operation(operation))

    async def ResolveOperation(self, request: pb.ResolveOperationRequest, context: Any) -> pb.ResolveOperationResponse:
        caller = translate.caller(reason=request.resolution, request_id=request.request_id)
        operation = await self._desk.resolve(request.operation_id, request.resolution, request.state, caller, identity(request))
        return pb.ResolveOperationResponse(operation=operations.operation(operation))

    async def GetStateMachine(self, request: pb.GetStateMachineRequest, context: Any) -> pb.GetStateMachineResponse:
        machine = self._lifecycle.machine
        return pb.GetStateMachineResponse(machine=state_machine(machine, self._lifecycle.sagas), diagram=diagram(machine))

    async def WatchEvents(self, request: pb.WatchEventsRequest, context: Any) -> AsyncIterator[pb.WatchEventsResponse]:
        feed, model_id = self._lifecycle.feed, await self._model_id(request.model_id)
        if request.HasField("after_sequence"):
            happened = watching.after_sequence(feed, request.after_sequence, model_id=model_id)
        else:
            happened = watching.after_position(feed, request.after_position, model_id=model_id)
        async with aclosing(happened) as events:
            async for event in events:
                yield pb.WatchEventsResponse(event=operations.event(event))

    async def _model_id(self, model: str) -> str:
        return await self._coordinator.model_id(model) if model else ""

    def _status(self, status: VersionStatus) -> version_status_pb2.VersionStatus:
        return translate.version_status(status, self._coordinator.allowed(status))


def _wish(request: Any) -> dict[str, Any]:
    """What every request that begins an operation carries."""
    return {
        "caller": translate.caller(reason=request.intent.reason, request_id=request.request_id),
        "patience": translate.patience(request.intent),
        "request": identity(request),
    }
