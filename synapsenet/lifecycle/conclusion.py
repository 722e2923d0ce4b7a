"""What an operation's end, or its trouble, means for versions: drawn in the commit that records it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from synapsenet.lifecycle.failures import as_condition
from synapsenet.lifecycle.ledger import amend, take
from synapsenet.lifecycle.machine import Rule, StateMachine
from synapsenet.lifecycle.model import OWN, Condition, Operation, OperationState, VersionStatus
from synapsenet.lifecycle.ports import LifecycleWork
from synapsenet.lifecycle.saga import Saga

SERVING = "serving"
CANCELLED = "OPERATION_CANCELLED"


class Conclusion:
    """Knows from the table where a version goes."""

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine

    def begin(self, tx: LifecycleWork, status: VersionStatus, rule: Rule, operation: Operation, *, at: datetime) -> None:
        """Take the version into the state in which `operation` works on it, or note there that it does."""
        if self._machine.states[rule.target].timeout is not None:
            take(tx, status, rule, caller=operation.caller, at=at, operation=operation)
        else:
            amend(tx, status, replace(status, operation_id=operation.id, updated_at=at))

    def draw(self, tx: LifecycleWork, saga: Saga, old: Operation, new: Operation, *, at: datetime) -> None:
        """What follows from `old` having become `new`."""
        if old.state is new.state:
            return
        status = tx.versions.find(new.model_id, new.version)
        if status is None:
            return
        if new.state is OperationState.SUCCEEDED:
            self._succeeded(tx, saga, status, new, at)
        elif new.state is OperationState.COMPENSATED:
            self._compensated(tx, status, new, at)
        elif new.state is OperationState.NEEDS_ATTENTION and new.failure is not None:
            worry = as_condition(new.failure, new.id, needs_attention=True)
            amend(tx, status, status.with_condition(OWN, worry, at), reason=new.caller.reason)

    def deadline(self, operation: Operation) -> datetime | None:
        """When the operation must turn back; None: its steps' own timeouts alone bound it."""
        rule = self._machine.ending(operation.source, operation.event)
        limit: timedelta | None = rule.timeout or self._machine.states[rule.target].timeout
        return None if limit is None else operation.created_at + limit

    def _succeeded(self, tx: LifecycleWork, saga: Saga, status: VersionStatus, operation: Operation, at: datetime) -> None:
        if saga.ends_with:
            rule = self._machine.ending(status.state, saga.ends_with)
        else:
            rule = self._machine.ending(operation.source, operation.event)
        shares = operation.results.get("traffic")
        own = None if shares is None else float(shares.get(str(status.version), 0.0))
        take(tx, status, rule, caller=operation.caller, at=at, operation=operation, traffic=own)
        if shares is not None:
            retires = saga.retires and not operation.input.get("keep_previous")
            for other in tx.versions.of(operation.model_id):
                if other.version != status.version and (other.state == SERVING or other.traffic):
                    self._share(tx, other, float(shares.get(str(other.version), 0.0)), operation, retires=retires, at=at)

    def _share(
        self, tx: LifecycleWork, other: VersionStatus, share: float, operation: Operation, *, retires: bool, at: datetime
    ) -> None:
        if retires and not share and other.state == SERVING:
            rule = self._machine.ending(SERVING, "retire")
            take(tx, other, rule, caller=operation.caller, at=at, operation=operation, traffic=0.0)
        elif share != other.traffic:
            amend(tx, other, replace(other, traffic=share, updated_at=at))

    def _compensated(self, tx: LifecycleWork, status: VersionStatus, operation: Operation, at: datetime) -> None:
        wrong: Condition | None = None
        if operation.failure is not None and operation.failure.reason != CANCELLED:
            wrong = as_condition(operation.failure, operation.id)
        if self._machine.states[self._machine.ending(operation.source, operation.event).target].timeout is None:
            left = replace(status.with_condition(OWN, wrong, at), operation_id="", updated_at=at)
            amend(tx, status, left, reason=operation.caller.reason)
        else:
            rule = self._machine.failure_exit(status.state)
            take(tx, status, rule, caller=operation.caller, at=at, condition=wrong, operation=operation)
