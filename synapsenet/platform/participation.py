"""Taking part in sagas: what a step is to the area that carries it out, and what the area keeps of it.

A coordinator asks for a step as often as it must, from whatever process holds the model, and may undo it while it still goes
on. What makes that safe is kept in the area's own records: the highest fence of each model, what a step gave when it first
happened, and that it was undone. `participant.py` has the rules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from synapsenet.errors import FailedPrecondition
from synapsenet.platform.work import UnitOfWork

Json = Mapping[str, Any]
"""Values of JSON by name."""

W = TypeVar("W", bound="ParticipantWork")
W_contra = TypeVar("W_contra", bound="ParticipantWork", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCall:
    """One step of one operation on one version.

    Attributes:
        saga: the one that the step belongs to; a step of one name may be part of several.
        saga_version: of the saga's definition.
        input: the operation's input, and what earlier steps gave.
    """

    operation_id: str
    step: str
    saga: str = ""
    saga_version: int
    model_id: str
    version: int
    input: Json = field(default_factory=dict)


class Direction(StrEnum):
    """Which way a step is taken."""

    EXECUTE = "execute"
    COMPENSATE = "compensate"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKey:
    """What a step is recognised by."""

    operation_id: str
    step: str
    direction: Direction

    @classmethod
    def of(cls, call: StepCall, direction: Direction) -> StepKey:
        return cls(operation_id=call.operation_id, step=call.step, direction=direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNote:
    """That a step was begun, or what it gave.

    Attributes:
        result: None while it goes on, or since it was left in the middle.
    """

    result: Json | None


class StepNotes(ABC):
    """What a participant keeps of steps, inside one unit of work."""

    @abstractmethod
    def claim(self, model_id: str, fence: int) -> bool:
        """Note `fence` as the model's unless a higher one was noted; whether it was not. Never forgotten."""

    @abstractmethod
    def fence(self, model_id: str) -> int:
        """The highest fence that was noted; 0: none."""

    @abstractmethod
    def find(self, key: StepKey) -> StepNote | None:
        """What is noted of the step."""

    @abstractmethod
    def begin(self, key: StepKey, at: datetime) -> bool:
        """Note that the step goes on, unless something is noted of it; whether nothing was."""

    @abstractmethod
    def end(self, key: StepKey, result: Json, at: datetime) -> bool:
        """Note what the step gave, unless an earlier result is noted; whether none was."""

    @abstractmethod
    def forget(self, *, before: datetime, limit: int) -> int:
        """Forget up to `limit` steps of which nothing was noted since then; how many."""


class ParticipantWork(UnitOfWork):
    """The unit of work of an area that takes part in sagas."""

    step_notes: StepNotes


class Turn:
    """A step being carried out, or undone, for whoever holds its model.

    Attributes:
        fence: the highest with which it was asked for.
    """

    def __init__(self, call: StepCall, direction: Direction, fence: int) -> None:
        self.call = call
        self.key = StepKey.of(call, direction)
        self.fence = fence

    def check(self, tx: ParticipantWork) -> None:
        """Pass if the step may still write. What the step commits on the way begins with this.

        Raises:
            FailedPrecondition: FENCED, somebody else has taken the model over; STEP_COMPENSATED, the step is being undone.
        """
        if not tx.step_notes.claim(self.call.model_id, self.fence):
            raise fenced(self.call.model_id, given=self.fence, held=tx.step_notes.fence(self.call.model_id))
        undone = StepKey.of(self.call, Direction.COMPENSATE)
        if self.key.direction is Direction.EXECUTE and tx.step_notes.find(undone) is not None:
            raise compensated(self.call)


class Step(Protocol[W_contra]):
    """One step as its area carries it out.

    It may be stopped anywhere (the process killed, the task cancelled) and is then begun again from its start, or undone:
    each method must be able to take up what an earlier attempt left. What execute and compensate return is the last commit:
    it is run in the transaction that keeps the outcome, so that both are there or neither; a step whose effect is one commit
    does nothing before it. Commits on the way begin with `turn.check(tx)`.
    """

    async def prepare(self, call: StepCall) -> Json:
        """What undoing the step will need; changes nothing. Asked for before execute, and handed to compensate."""
        ...

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[W_contra], Json]:
        """Carry the step out; the last commit gives what later steps may need, by name."""
        ...

    async def compensate(self, call: StepCall, compensation_input: Json, turn: Turn) -> Callable[[W_contra], None]:
        """Undo the step, whether it happened whole, in part or not at all."""
        ...


class OneWay(Generic[W]):
    """A step with nothing to undo: the part of `Step` that it shares with others of its kind."""

    async def prepare(self, call: StepCall) -> Json:
        return {}

    async def compensate(self, call: StepCall, compensation_input: Json, turn: Turn) -> Callable[[W], None]:
        return lambda tx: None


def giving(result: Json) -> Callable[[ParticipantWork], Json]:
    """The last commit of a step that has nothing to write: only its result."""
    return lambda tx: result


def fenced(model_id: str, *, given: int, held: int) -> FailedPrecondition:
    """Somebody else has taken the model over."""
    return FailedPrecondition(
        "FENCED",
        f"model {model_id} is held with fence {held}, and this call comes with {given}",
        field="fence",
        remedy="leave the model to the coordinator that holds it",
        metadata={"model_id": model_id, "held": str(held), "given": str(given)},
    )


def compensated(call: StepCall) -> FailedPrecondition:
    """The step was undone, or is being undone."""
    return FailedPrecondition(
        "STEP_COMPENSATED",
        f"step {call.step} of operation {call.operation_id} was undone and cannot happen any more",
        field="call.step",
        remedy="begin a new operation",
        metadata={"operation_id": call.operation_id, "step": call.step},
    )
