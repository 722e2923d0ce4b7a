"""What can happen in a model's life; each is recorded under the aggregate `model/ID`, so a model's events have one order."""

from __future__ import annotations

from dataclasses import dataclass

from synapsenet.lifecycle.model import Caller, Operation, StepProgress, VersionStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTransitioned:
    """A version changed its state.

    Attributes:
        source: the state that it left; empty: it was created.
        status: as it is afterwards, but for its `sequence`, which is the event's.
    """

    source: str
    event: str
    status: VersionStatus
    caller: Caller
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionChanged:
    """What is wrong with a version changed, or how much traffic it has; its state did not."""

    status: VersionStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChanged:
    """A step or a compensation of an operation began or ended.

    Attributes:
        revision: of the operation, with the change; 0 in events of before it was told.
        more: another event of the same change follows.
    """

    operation_id: str
    version: int
    step: StepProgress
    revision: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationChanged:
    """An operation was accepted, changed its state, or ended."""

    operation: Operation


def aggregate(model_id: str) -> str:
    return f"model/{model_id}"


def model_of(aggregate: str) -> str:
    """The model whose events have this aggregate."""
    return aggregate.removeprefix("model/")
