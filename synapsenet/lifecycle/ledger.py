"""How a change is written down: state, history and events in the one transaction that makes it.

Every write is a compare-and-set on the number of the version's newest event or on the operation's revision; what an operation
writes claims the model's fence as well. Zero rows changed means that somebody else was first, and nothing is written at all.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from synapsenet.errors import Aborted
from synapsenet.lifecycle.events import ConditionChanged, OperationChanged, StepChanged, VersionTransitioned, aggregate
from synapsenet.lifecycle.machine import Rule
from synapsenet.lifecycle.model import OWN, Caller, Condition, Operation, StepState, Transition, VersionStatus
from synapsenet.lifecycle.ports import LifecycleWork


def take(
    tx: LifecycleWork,
    old: VersionStatus,
    rule: Rule,
    *,
    caller: Caller,
    at: datetime,
    condition: Condition | None = None,
    operation: Operation | None = None,
    traffic: float | None = None,
) -> VersionStatus:
    """Bring `old` to the target of `rule`, which its caller has found to hold; `condition` is what is wrong from then on.

    Raises:
        Aborted: VERSION_CHANGED.
    """
    ended = operation is None or operation.state.has_ended
    new = replace(
        old.with_condition(OWN, condition, at),
        state=rule.target,
        operation_id="" if ended else operation.id if operation else "",
        traffic=old.traffic if traffic is None else traffic,
        reason=caller.reason,
        entered_at=at,
        updated_at=at,
    )
    operation_id = "" if operation is None else operation.id
    event = VersionTransitioned(source=old.state, event=rule.event, status=new, caller=caller, operation_id=operation_id)
    new = _numbered(tx, old, new, event)
    tx.history.add(
        Transition(
            sequence=new.sequence,
            model_id=new.model_id,
            version=new.version,
            source=old.state,
            event=rule.event,
            target=rule.target,
            caller=caller,
            operation_id=operation_id,
            at=at,
        )
    )
    return new


def adopt(tx: LifecycleWork, status: VersionStatus, *, caller: Caller) -> VersionStatus:
    """Begin to keep a version that stands elsewhere already; the one that is kept, if there is one."""
    if (known := tx.versions.find(status.model_id, status.version)) is not None:
        return known
    event = VersionTransitioned(source="", event="create", status=status, caller=caller)
    numbered = replace(status, sequence=tx.events.append(aggregate(status.model_id), event))
    tx.versions.add(numbered)
    tx.history.add(
        Transition(
            sequence=numbered.sequence,
            model_id=status.model_id,
            version=status.version,
            source="",
            event="create",
            target=status.state,
            caller=caller,
            at=status.entered_at,
        )
    )
    return numbered


def amend(tx: LifecycleWork, old: VersionStatus, new: VersionStatus, *, reason: str = "") -> VersionStatus:
    """Keep what else changed in a version: its conditions (`reason` says why), its traffic, the operation at work on it.

    Raises:
        Aborted: VERSION_CHANGED.
    """
    if new == old:
        return old
    told = new if new.conditions == old.conditions else replace(new, reason=reason)
    return _numbered(tx, old, told, ConditionChanged(status=told))


def accept(tx: LifecycleWork, operation: Operation) -> Operation:
    """Keep a new operation."""
    tx.operations.add(operation)
    tx.events.append(aggregate(operation.model_id), OperationChanged(operation=operation))
    return operation


def change(tx: LifecycleWork, old: Operation, new: Operation, *, at: datetime) -> Operation:
    """Keep what became of an operation, with an event for it and one for each step that changed.

    Raises:
        Aborted: OPERATION_CHANGED.
    """
    ended_at = at if new.state.has_ended and not old.state.has_ended else new.ended_at
    new = replace(new, revision=old.revision + 1, updated_at=at, ended_at=ended_at)
    if not tx.operations.replace(new, revision=old.revision):
        raise Aborted("OPERATION_CHANGED", f"operation {old.id} has changed", remedy="read it again")
    about = aggregate(new.model_id)
    stepped = [
        after
        for place, after in enumerate(new.steps)
        if after.state is not StepState.PENDING and old.steps[place : place + 1] != (after,)
    ]
    is_told = (old.state, old.cancelling, old.waiting_for) != (new.state, new.cancelling, new.waiting_for)
    for left, step in zip(range(len(stepped) - 1, -1, -1), stepped, strict=True):
        more = left > 0 or is_told
        tx.events.append(
            about, StepChanged(operation_id=new.id, version=new.version, step=step, revision=new.revision, more=more)
        )
    if is_told:
        tx.events.append(about, OperationChanged(operation=new))
    return new


def claim(tx: LifecycleWork, model_id: str, token: int) -> None:
    """Pass if no holder with a higher token ever wrote for the model.

    Raises:
        Aborted: MODEL_TAKEN_OVER.
    """
    if not tx.fences.claim(model_id, token):
        remedy = "leave the model to it"
        raise Aborted("MODEL_TAKEN_OVER", f"another coordinator has taken model {model_id} over", remedy=remedy)


def _numbered(
    tx: LifecycleWork, old: VersionStatus, new: VersionStatus, event: VersionTransitioned | ConditionChanged
) -> VersionStatus:
    numbered = replace(new, sequence=tx.events.append(aggregate(new.model_id), event))
    if not tx.versions.replace(numbered, sequence=old.sequence):
        raise version_changed(old)
    return numbered


def version_changed(status: VersionStatus) -> Aborted:
    """Somebody else moved the version first."""
    return Aborted(
        "VERSION_CHANGED",
        f"version {status.title} has changed meanwhile",
        remedy="read its status and repeat the wish on what it is now",
        metadata={"model_id": status.model_id, "version": str(status.version)},
    )
