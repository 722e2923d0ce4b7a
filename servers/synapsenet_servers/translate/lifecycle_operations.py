"""Operations, and what happens in a model's life, on the wire."""

from __future__ import annotations

from dataclasses import replace

from google.rpc.status_pb2 import Status

from synapsenet.lifecycle.events import ConditionChanged, OperationChanged, StepChanged, VersionTransitioned, model_of
from synapsenet.lifecycle.failures import as_error
from synapsenet.lifecycle.model import Failure, Operation, StepProgress, StepState, Transition
from synapsenet.platform.events import Event
from synapsenet.platform.records import decode
from synapsenet_api.lifecycle.v1 import lifecycle_event_pb2, operation_pb2
from synapsenet_servers.interceptors.catalogue import status
from synapsenet_servers.translate import lifecycle
from synapsenet_servers.translate.enums import Wire
from synapsenet_servers.translate.lifecycle import OPERATION_STATES
from synapsenet_servers.translate.times import to_timestamp

_STEP_STATES = Wire(StepState, operation_pb2.StepState, "STEP_STATE_")


def operation(found: Operation) -> operation_pb2.Operation:
    return operation_pb2.Operation(
        id=found.id,
        saga=found.saga,
        saga_version=found.saga_version,
        model_id=found.model_id,
        version=found.version,
        state=OPERATION_STATES[found.state],
        steps=[_step(step) for step in found.steps],
        error=_error(found.failure),
        cancelling=found.cancelling,
        waiting_for=found.waiting_for,
        actor=found.caller.actor,
        reason=found.caller.reason,
        request_id=found.caller.request_id,
        revision=found.revision,
        create_time=to_timestamp(found.created_at),
        update_time=to_timestamp(found.updated_at),
        end_time=None if found.ended_at is None else to_timestamp(found.ended_at),
        resolution=found.resolution,
    )


def event(happened: Event) -> lifecycle_event_pb2.LifecycleEvent:
    """`happened` as its watchers see it; what a newer release may have recorded has its number and nothing more."""
    wire = lifecycle_event_pb2.LifecycleEvent(
        id=happened.id,
        model_id=model_of(happened.aggregate),
        sequence=happened.sequence,
        position=happened.position,
        occur_time=to_timestamp(happened.occurred_at),
    )
    if happened.type == VersionTransitioned.__name__:
        wire.transition.CopyFrom(lifecycle.transition(_transition(happened)))
    elif happened.type == StepChanged.__name__:
        stepped = decode(StepChanged, happened.payload)
        wire.step_change.CopyFrom(
            lifecycle_event_pb2.StepChange(operation_id=stepped.operation_id, version=stepped.version, step=_step(stepped.step))
        )
    elif happened.type == OperationChanged.__name__:
        wire.operation.CopyFrom(operation(decode(OperationChanged, happened.payload).operation))
    elif happened.type == ConditionChanged.__name__:
        changed = replace(decode(ConditionChanged, happened.payload).status, sequence=happened.sequence)
        wire.condition_change.CopyFrom(lifecycle.version_status(changed, ()))
    return wire


def _transition(happened: Event) -> Transition:
    moved = decode(VersionTransitioned, happened.payload)
    return Transition(
        sequence=happened.sequence,
        model_id=moved.status.model_id,
        version=moved.status.version,
        source=moved.source,
        event=moved.event,
        target=moved.status.state,
        caller=moved.caller,
        operation_id=moved.operation_id,
        at=moved.status.entered_at,
    )


def _step(step: StepProgress) -> operation_pb2.StepProgress:
    return operation_pb2.StepProgress(
        name=step.name,
        state=_STEP_STATES[step.state],
        attempts=step.attempts,
        compensation_attempts=step.compensation_attempts,
        error=_error(step.failure),
        start_time=None if step.started_at is None else to_timestamp(step.started_at),
        end_time=None if step.ended_at is None else to_timestamp(step.ended_at),
    )


def _error(failure: Failure | None) -> Status | None:
    return None if failure is None else status(as_error(failure))
