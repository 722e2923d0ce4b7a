"""What the coordinator keeps: where versions are, what happened to them, and the operations that move them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from synapsenet.errors import InvalidArgument
from synapsenet.lifecycle.saga import Saga

_REASON_CHARACTERS = 1_024

Json = Mapping[str, Any]
"""Values of JSON by name: what steps are given and give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is wrong with a version in the state that it is in; never a state of its own.

    Attributes:
        reason: stable UPPER_SNAKE_CASE name.
        message: one sentence for people.
        operation_id: the operation that met it; empty: none.
        needs_attention: the platform has done what it can.
        since: None until it is recorded.
    """

    reason: str
    message: str = ""
    operation_id: str = ""
    needs_attention: bool = False
    since: datetime | None = None

    def __post_init__(self) -> None:
        if not self.reason:
            raise InvalidArgument(
                "CONDITION_INVALID",
                "condition.reason: a condition without a reason says nothing",
                field="condition.reason",
                remedy="name it in UPPER_SNAKE_CASE, or leave the condition out",
            )

    def is_as(self, other: Condition | None) -> bool:
        """Whether `other` says the same, since whenever."""
        return other is not None and replace(other, since=None) == replace(self, since=None)


OWN = ""
"""The reporter of what an operation or a transition itself says of a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus:
    """Where a version is in its life.

    Attributes:
        conditions: by who reports them; `OWN` is the coordinator itself.
        operation_id: the operation that is at work on it; empty: none.
        traffic: the fraction of the model's traffic that is routed to it.
        sequence: the number of the model's newest event that is about this version.
        reason: why its state or a condition last changed, in the words of whoever wanted it; empty: nobody said.
        entered_at: since when it is in its state.
        updated_at: when the state or a condition last changed.
    """

    model_id: str
    model_name: str
    version: int
    state: str
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    operation_id: str = ""
    traffic: float = 0.0
    sequence: int = 0
    reason: str = ""
    entered_at: datetime
    updated_at: datetime

    @property
    def title(self) -> str:
        """How people call it, `digits:3`."""
        return f"{self.model_name}:{self.version}"

    @property
    def condition(self) -> Condition | None:
        """The worst of the conditions: one that needs attention, else the oldest; None: nothing is wrong."""
        ranked = sorted(self.conditions.items(), key=lambda item: (not item[1].needs_attention, str(item[1].since), item[0]))
        return ranked[0][1] if ranked else None

    def with_condition(self, reporter: str, condition: Condition | None, at: datetime) -> VersionStatus:
        """With what `reporter` says from now on, or the same if that is what it said."""
        said = self.conditions.get(reporter)
        if said is condition or (condition is not None and condition.is_as(said)):
            return self
        others = {who: what for who, what in self.conditions.items() if who != reporter}
        stated = {} if condition is None else {reporter: replace(condition, since=at)}
        return replace(self, conditions=others | stated, updated_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who wants something, and why.

    Attributes:
        actor: as the platform authenticated them; empty: it did not.
        trace_id: 32 hexadecimal digits; empty: none.
    """

    actor: str = ""
    reason: str = ""
    request_id: str = ""
    trace_id: str = ""

    def __post_init__(self) -> None:
        if len(self.reason) > _REASON_CHARACTERS:
            raise InvalidArgument("REASON_TOO_LONG", field="reason", remedy=f"shorten it to {_REASON_CHARACTERS:,} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One line of a model's history.

    Attributes:
        sequence: the number of the model's event that recorded it.
        source: the state that it left; empty: it was created.
    """

    sequence: int
    model_id: str
    version: int
    source: str
    event: str
    target: str
    caller: Caller
    operation_id: str = ""
    at: datetime


class OperationState(StrEnum):
    """Where an operation is."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPENSATING = "compensating"
    NEEDS_ATTENTION = "needs_attention"
    SUCCEEDED = "succeeded"
    COMPENSATED = "compensated"
    FAILED = "failed"
    RESOLVED = "resolved"

    @property
    def has_ended(self) -> bool:
        return self in _ENDED


_ENDED = frozenset({OperationState.SUCCEEDED, OperationState.COMPENSATED, OperationState.FAILED, OperationState.RESOLVED})


class StepState(StrEnum):
    """Where a step is."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why something did not happen, as it is told to callers.

    Attributes:
        kind: the class of the error, `Unavailable`.
    """

    kind: str
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress:
    """How far a step is.

    Attributes:
        attempts: at the action so far, as far as recorded.
        compensation_attempts: at the compensation so far.
        compensation_input: what the participant said that undoing will need; recorded before the step is carried out.
        result: what it gave.
        failure: the last one; None: none.
    """

    name: str
    state: StepState = StepState.PENDING
    attempts: int = 0
    compensation_attempts: int = 0
    compensation_input: Json = field(default_factory=dict)
    result: Json = field(default_factory=dict)
    failure: Failure | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Long work on a model: one saga, carried out once.

    Attributes:
        event: what was asked for, an event of the state machine.
        source: the state of the version before it.
        input: what its steps are given beside the results of earlier ones.
        cancelling: somebody asked for its end.
        waiting_for: while it waits, who holds the model.
        wait_until: when its patience ends, while it waits.
        revision: grows with every change.
    """

    id: str
    saga: str
    saga_version: int
    model_id: str
    model_name: str
    version: int
    event: str
    source: str
    state: OperationState
    steps: tuple[StepProgress, ...]
    input: Json = field(default_factory=dict)
    failure: Failure | None = None
    cancelling: bool = False
    waiting_for: str = ""
    wait_until: datetime | None = None
    caller: Caller = Caller()
    resolution: str = ""
    revision: int = 1
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None

    @property
    def title(self) -> str:
        """What it does, for people: `deploy of digits:3`."""
        return f"{self.saga} of {self.model_name}:{self.version}"

    @property
    def results(self) -> dict[str, Any]:
        """What its steps gave so far, all together."""
        return {name: value for step in self.steps for name, value in step.result.items()}

    def with_step(self, number: int, **changes: Any) -> Operation:
        """With step `number` changed."""
        steps = list(self.steps)
        steps[number] = replace(steps[number], **changes)
        return replace(self, steps=tuple(steps))


def planned(saga: Saga) -> tuple[StepProgress, ...]:
    """The steps of an operation that has not begun."""
    return tuple(StepProgress(name=step.name) for step in saga.steps)
