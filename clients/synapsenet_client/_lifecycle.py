"""The life of model versions: moves, operations, and the state machine itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.struct_pb2 import Struct

from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as pb
from synapsenet_api.lifecycle.v1.lifecycle_event_pb2 import LifecycleEvent
from synapsenet_api.lifecycle.v1.operation_pb2 import Operation, OperationState
from synapsenet_api.lifecycle.v1.validation_report_pb2 import Threshold, ValidationReport
from synapsenet_api.lifecycle.v1.version_status_pb2 import Condition, Transition, VersionStatus
from synapsenet_client._calls import Ask, Asyncio, Blocking, Pages, Watch, answering, paging, streaming
from synapsenet_client._enums import enum_values
from synapsenet_client._thresholds import threshold
from synapsenet_client._times import duration, timestamp


def intent(*, reason: str = "", wait: float | timedelta | None = None, expected_sequence: int | None = None) -> pb.Intent:
    """Why a move is wanted, and how patiently.

    Args:
        reason: for the record.
        wait: seconds to wait while another operation holds the model; None: Aborted at once.
        expected_sequence: `sequence` of the status that the wish is based on; None: whatever it is.
    """
    return pb.Intent(reason=reason, wait=duration(wait), expected_sequence=expected_sequence)


class MoveMethods:
    """A model is named by its id or its name, a version by its number; `intent(...)` says why and how patiently."""

    @answering
    def transition(
        self,
        model_id: str,
        version: int,
        event: str,
        *,
        condition: Condition | None = None,
        intent: pb.Intent | None = None,
        request_id: str = "",
    ) -> Ask[pb.TransitionVersionResponse, VersionStatus]:
        """Let an event of the state machine happen that one commit carries out."""
        request = pb.TransitionVersionRequest(
            model_id=model_id, version=version, event=event, condition=condition, intent=intent, request_id=request_id
        )
        return Ask(request, lambda answer: answer.status)

    @answering
    def validate(
        self,
        model_id: str,
        version: int,
        *,
        evaluation_set_id: str = "",
        label: str = "",
        thresholds: Iterable[Threshold | str] = (),
        intent: pb.Intent | None = None,
        request_id: str = "",
    ) -> Ask[pb.ValidateVersionResponse, Operation]:
        """Check a version's artifact, evaluate it and apply thresholds such as `accuracy>=0.95`; only then it is registered."""
        request = pb.ValidateVersionRequest(
            model_id=model_id,
            version=version,
            evaluation_set_id=evaluation_set_id,
            label=label,
            thresholds=[threshold(one) if isinstance(one, str) else one for one in thresholds],
            intent=intent,
            request_id=request_id,
        )
        return Ask(request, lambda answer: answer.operation)

    @answering
    def deploy(
        self,
        model_id: str,
        version: int,
        *,
        replicas: int = 0,
        traffic: Mapping[int, float] | None = None,
        keep_previous: bool = False,
        options: Mapping[str, Any] | None = None,
        intent: pb.Intent | None = None,
        request_id: str = "",
    ) -> Ask[pb.DeployVersionResponse, Operation]:
        """Bring a version to serving, or leave everything as it was.

        Args:
            replicas: on how many to load it; 0: all.
            traffic: fractions of 1 by version afterwards; None: all of it goes to this version at once.
            keep_previous: versions without traffic stay deployed, to be reached by their number.
            options: `batching`, `determinism` and `pinned`, as JSON.
        """
        request = pb.DeployVersionRequest(
            model_id=model_id,
            version=version,
            replicas=replicas,
            traffic=_shares(traffic),
            keep_previous=keep_previous,
            options=_struct(options),
            intent=intent,
            request_id=request_id,
        )
        return Ask(request, lambda answer: answer.operation)

    @answering
    def undeploy(
        self, model_id: str, version: int, *, intent: pb.Intent | None = None, request_id: str = ""
    ) -> Ask[pb.UndeployVersionResponse, Operation]:
        """Take a serving version out of traffic; it is registered again."""
        request = pb.UndeployVersionRequest(model_id=model_id, version=version, intent=intent, request_id=request_id)
        return Ask(request, lambda answer: answer.operation)

    @answering
    def roll_back(
        self, model_id: str, *, version: int | None = None, intent: pb.Intent | None = None, request_id: str = ""
    ) -> Ask[pb.RollBackModelResponse, Operation]:
        """Serve an earlier version again; None: the one that served before the present one."""
        request = pb.RollBackModelRequest(model_id=model_id, version=version, intent=intent, request_id=request_id)
        return Ask(request, lambda answer: answer.operation)

    @answering
    def promote(
        self,
        model_id: str,
        version: int,
        *,
        traffic: Mapping[int, float] | None = None,
        intent: pb.Intent | None = None,
        request_id: str = "",
    ) -> Ask[pb.PromoteVersionResponse, Operation]:
        """Shift traffic between serving versions, by default all of it to this one."""
        request = pb.PromoteVersionRequest(
            model_id=model_id, version=version, traffic=_shares(traffic), intent=intent, request_id=request_id
        )
        return Ask(request, lambda answer: answer.operation)

    @answering
    def archive(
        self, model_id: str, version: int, *, intent: pb.Intent | None = None, request_id: str = ""
    ) -> Ask[pb.ArchiveVersionResponse, Operation]:
        """End a version's life."""
        request = pb.ArchiveVersionRequest(model_id=model_id, version=version, intent=intent, request_id=request_id)
        return Ask(request, lambda answer: answer.operation)


class RecordMethods:
    """Where versions are, and how they came there."""

    @answering
    def status(self, model_id: str, version: int) -> Ask[pb.GetVersionStatusResponse, VersionStatus]:
        """Where a version is, and what may happen to it now."""
        return Ask(pb.GetVersionStatusRequest(model_id=model_id, version=version), lambda answer: answer.status)

    @answering
    def validation_report(self, model_id: str, version: int) -> Ask[pb.GetValidationReportResponse, ValidationReport]:
        """What the newest validation of a version found."""
        return Ask(pb.GetValidationReportRequest(model_id=model_id, version=version), lambda answer: answer.report)

    @paging
    def list_transitions(
        self,
        model_id: str,
        *,
        version: int | None = None,
        start_time: datetime | None = None,
        actor: str = "",
        page_size: int = 0,
    ) -> Pages[pb.ListTransitionsResponse, Transition]:
        """What happened to a model's versions from `start_time` on, the newest first."""
        request = pb.ListTransitionsRequest(
            model_id=model_id,
            version=version,
            start_time=timestamp("start_time", start_time),
            actor=actor,
            page_size=page_size,
        )
        return Pages(request, lambda page: page.transitions)

    @answering
    def machine(self) -> Ask[pb.GetStateMachineResponse, pb.GetStateMachineResponse]:
        """The state machine as data, and as a Mermaid diagram."""
        return Ask(pb.GetStateMachineRequest(), lambda answer: answer)

    @streaming
    def watch_events(
        self, *, model_id: str = "", after_position: int = 0, after_sequence: int | None = None
    ) -> Watch[pb.WatchEventsResponse, LifecycleEvent]:
        """Events, the stored ones first, then as they happen.

        Raises:
            OutOfRange: those asked for are no longer kept; the sentence names the oldest.
        """
        request = pb.WatchEventsRequest(model_id=model_id, after_position=after_position, after_sequence=after_sequence)
        return Watch(request, lambda answer: answer.event)


class OperationMethods:
    """Operations are named by their ids; `succeeded(operation)` raises what went wrong with one."""

    @answering
    def get_operation(self, operation_id: str) -> Ask[pb.GetOperationResponse, Operation]:
        """One operation."""
        return Ask(pb.GetOperationRequest(operation_id=operation_id), lambda answer: answer.operation)

    @paging
    def list_operations(
        self, *, model_id: str = "", states: Iterable[str] = (), saga: str = "", page_size: int = 0
    ) -> Pages[pb.ListOperationsResponse, Operation]:
        """Operations, the newest first; `states` are WAITING, RUNNING, COMPENSATING, SUCCEEDED …"""
        request = pb.ListOperationsRequest(
            model_id=model_id, states=enum_values("states", OperationState, states), saga=saga, page_size=page_size
        )
        return Pages(request, lambda page: page.operations)

    @streaming
    def watch_operation(self, operation_id: str) -> Watch[pb.WatchOperationResponse, Operation]:
        """The operation now and after each change; the stream ends when the operation has."""
        return Watch(pb.WatchOperationRequest(operation_id=operation_id), lambda answer: answer.operation)

    @answering
    def wait_operation(
        self, operation_id: str, *, timeout: float | timedelta | None = None
    ) -> Ask[pb.WaitOperationResponse, Operation]:
        """The operation when it has ended, or as it is after `timeout` seconds (None: as long as the call may last)."""
        request = pb.WaitOperationRequest(operation_id=operation_id, timeout=duration(timeout))
        return Ask(request, lambda answer: answer.operation)

    @answering
    def cancel_operation(
        self, operation_id: str, *, reason: str = "", request_id: str = ""
    ) -> Ask[pb.CancelOperationResponse, Operation]:
        """Undo an operation that has not ended."""
        request = pb.CancelOperationRequest(operation_id=operation_id, reason=reason, request_id=request_id)
        return Ask(request, lambda answer: answer.operation)

    @answering
    def retry_compensation(self, operation_id: str, *, request_id: str = "") -> Ask[pb.RetryCompensationResponse, Operation]:
        """Try a failing compensation again now."""
        request = pb.RetryCompensationRequest(operation_id=operation_id, request_id=request_id)
        return Ask(request, lambda answer: answer.operation)

    @answering
    def resolve_operation(
        self, operation_id: str, resolution: str, *, state: str = "", request_id: str = ""
    ) -> Ask[pb.ResolveOperationResponse, Operation]:
        """Declare that a person has settled what a failing compensation would have."""
        request = pb.ResolveOperationRequest(
            operation_id=operation_id, resolution=resolution, state=state, request_id=request_id
        )
        return Ask(request, lambda answer: answer.operation)


class Lifecycle(Blocking, MoveMethods, RecordMethods, OperationMethods):
    """`client.lifecycle`."""


class AsyncLifecycle(Asyncio, MoveMethods, RecordMethods, OperationMethods):
    """`client.lifecycle` of an asyncio client."""


def _shares(traffic: Mapping[int, float] | None) -> list[pb.TrafficShare]:
    return [pb.TrafficShare(version=version, fraction=fraction) for version, fraction in (traffic or {}).items()]


def _struct(values: Mapping[str, Any] | None) -> Struct | None:
    if values is None:
        return None
    message = Struct()
    message.update(dict(values))
    return message
