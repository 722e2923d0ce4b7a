"""Versions' lives on the wire: statuses, history, reports, and what people want."""

from __future__ import annotations

from collections.abc import Sequence

from synapsenet.lifecycle.model import Caller, Condition, OperationState, Transition, VersionStatus
from synapsenet.lifecycle.ports import HistoryQuery, OperationQuery
from synapsenet.lifecycle.report import Comparator, Threshold, ThresholdResult, ValidationReport
from synapsenet.lifecycle.wishes import DeployWish, Patience, ValidationWish
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as pb
from synapsenet_api.lifecycle.v1 import operation_pb2, validation_report_pb2, version_status_pb2
from synapsenet_servers.security.acting import actor
from synapsenet_servers.telemetry.opening import current_ids
from synapsenet_servers.translate.enums import Wire
from synapsenet_servers.translate.structs import from_struct
from synapsenet_servers.translate.times import from_duration, from_timestamp, to_timestamp

OPERATION_STATES = Wire(OperationState, operation_pb2.OperationState, "OPERATION_STATE_")
_COMPARATORS = Wire(Comparator, validation_report_pb2.Comparator, "COMPARATOR_")


def version_status(status: VersionStatus, allowed: Sequence[str]) -> version_status_pb2.VersionStatus:
    """`status`, with the events that may happen now."""
    return version_status_pb2.VersionStatus(
        model_id=status.model_id,
        version=status.version,
        state=status.state,
        condition=None if status.condition is None else _condition(status.condition),
        operation_id=status.operation_id,
        traffic_fraction=status.traffic,
        sequence=status.sequence,
        allowed_events=allowed,
        update_time=to_timestamp(status.updated_at),
    )


def condition(wire: version_status_pb2.Condition) -> Condition:
    return Condition(
        reason=wire.reason,
        message=wire.message,
        operation_id=wire.operation_id,
        needs_attention=wire.needs_attention,
    )


def transition(line: Transition) -> version_status_pb2.Transition:
    return version_status_pb2.Transition(
        sequence=line.sequence,
        model_id=line.model_id,
        version=line.version,
        from_state=line.source,
        event=line.event,
        to_state=line.target,
        actor=line.caller.actor,
        reason=line.caller.reason,
        request_id=line.caller.request_id,
        trace_id=line.caller.trace_id,
        operation_id=line.operation_id,
        occur_time=to_timestamp(line.at),
    )


def report(found: ValidationReport) -> validation_report_pb2.ValidationReport:
    return validation_report_pb2.ValidationReport(
        model_id=found.model_id,
        version=found.version,
        operation_id=found.operation_id,
        artifact_sha256=found.artifact_sha256,
        evaluation_set_id=found.evaluation_set_id,
        examples=found.examples,
        metrics=found.metrics,
        thresholds=[_threshold_result(result) for result in found.thresholds],
        passed=found.passed,
        reason=found.reason,
        create_time=to_timestamp(found.created_at),
    )


def caller(*, reason: str = "", request_id: str = "", by: str = "") -> Caller:
    """Who calls, by what the call itself tells; `by` if a service of the platform says for whom it asks.

    Raises:
        InvalidArgument: REASON_TOO_LONG.
    """
    ids = current_ids()
    return Caller(actor=by or actor(), reason=reason, request_id=request_id, trace_id=ids[0] if ids else "")


def patience(intent: pb.Intent) -> Patience:
    return Patience(
        wait=from_duration(intent.wait, field="intent.wait").total_seconds() if intent.HasField("wait") else 0.0,
        expected=intent.expected_sequence if intent.HasField("expected_sequence") else None,
    )


def validation_wish(request: pb.ValidateVersionRequest) -> ValidationWish:
    return ValidationWish(
        evaluation_set_id=request.evaluation_set_id,
        label=request.label,
        thresholds=tuple(_from_threshold(one, f"thresholds[{at}]") for at, one in enumerate(request.thresholds)),
    )


def deploy_wish(request: pb.DeployVersionRequest) -> DeployWish:
    return DeployWish(
        replicas=request.replicas,
        traffic=_shares(request.traffic),
        keep_previous=request.keep_previous,
        options=from_struct(request.options, field="options"),
    )


def promote_wish(request: pb.PromoteVersionRequest) -> DeployWish:
    return DeployWish(traffic=_shares(request.traffic))


def history_query(request: pb.ListTransitionsRequest) -> HistoryQuery:
    return HistoryQuery(
        model_id=request.model_id,
        version=request.version if request.HasField("version") else None,
        since=from_timestamp(request.start_time, field="start_time") if request.HasField("start_time") else None,
        actor=request.actor,
    )


def operation_query(request: pb.ListOperationsRequest, *, model_id: str) -> OperationQuery:
    states = (OPERATION_STATES.member(state, field="states") for state in request.states)
    return OperationQuery(model_id=model_id, states=frozenset(states), saga=request.saga)


def _condition(said: Condition) -> version_status_pb2.Condition:
    return version_status_pb2.Condition(
        reason=said.reason,
        message=said.message,
        operation_id=said.operation_id,
        needs_attention=said.needs_attention,
        start_time=None if said.since is None else to_timestamp(said.since),
    )


def _shares(wire: Sequence[pb.TrafficShare]) -> dict[int, float]:
    return {share.version: share.fraction for share in wire}


def _threshold_result(result: ThresholdResult) -> validation_report_pb2.ThresholdResult:
    return validation_report_pb2.ThresholdResult(
        threshold=validation_report_pb2.Threshold(
            metric=result.threshold.metric,
            comparator=_COMPARATORS[result.threshold.comparator],
            value=result.threshold.value,
        ),
        measured=result.measured,
        passed=result.passed,
    )


def _from_threshold(wire: validation_report_pb2.Threshold, field: str) -> Threshold:
    comparator = _COMPARATORS.member(wire.comparator, field=f"{field}.comparator")
    return Threshold(metric=wire.metric, comparator=comparator, value=wire.value)
