"""Failures as operations keep them, and back as errors."""

from __future__ import annotations

from synapsenet import errors
from synapsenet.errors import Aborted, DeadlineExceeded, Internal, ResourceExhausted, SynapseError, Unavailable
from synapsenet.lifecycle.model import Condition, Failure


def as_failure(error: SynapseError) -> Failure:
    """What an operation keeps of `error`: what callers may know, nothing secret."""
    return Failure(kind=type(error).__name__, reason=error.reason, message=error.public, metadata=error.metadata)


def as_error(failure: Failure) -> SynapseError:
    """The error that `failure` was made from, without its secret."""
    kind = getattr(errors, failure.kind, Internal)
    error: SynapseError = kind(failure.reason, failure.message, metadata=failure.metadata)
    return error


def as_condition(failure: Failure, operation_id: str, *, needs_attention: bool = False) -> Condition:
    """What is wrong with a version that an operation could not move."""
    return Condition(reason=failure.reason, message=failure.message, operation_id=operation_id, needs_attention=needs_attention)


def may_pass(error: SynapseError) -> bool:
    """Whether another attempt may end otherwise."""
    return isinstance(error, Unavailable | DeadlineExceeded | ResourceExhausted | Aborted)
