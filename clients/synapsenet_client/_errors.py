"""Every error that the SDK raises, and how a gRPC status becomes one.

    SynapseNetError
    ├── InvalidArgument       the request itself is wrong; `violations` name the fields
    ├── NotFound              something that the request names does not exist
    ├── AlreadyExists         the name, or the request id with another body, is taken
    ├── FailedPrecondition    the platform is not in the state that the request needs
    ├── Aborted               a concurrent writer won; read again and retry
    ├── OutOfRange            a position or page past what is retained
    ├── Unauthenticated       who is calling could not be established
    ├── PermissionDenied      the caller is known and may not do this
    ├── ResourceExhausted     a bound was reached; `retry_after` says when to come back
    ├── DeadlineExceeded      the work did not end in the time that was given
    ├── Cancelled             the call was given up
    ├── Unavailable           nobody answers, or a part of the platform is away
    ├── DataLoss              bytes are not what was written
    ├── Internal              a bug of the platform
    └── Unimplemented         the platform does not know the RPC
        └── NotYetAvailable   it knows the RPC or option, and a later release brings it

`str(error)` is one sentence for people; `reason` is stable, for programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that is wrong with a request.

    Attributes:
        field: path of the field in the contract's spelling, or the subject of a precondition.
        description: what is wrong with it, and the remedy.
    """

    field: str
    description: str


class SynapseNetError(Exception):
    """The root; what the platform answered, or why no answer came.

    Attributes:
        code: the gRPC status code.
        reason: stable UPPER_SNAKE_CASE name from the answer's ErrorInfo; empty if a stranger answered without one.
        message: one sentence: what is wrong and, where known, what to do.
        violations: the request's fields at fault.
        metadata: further facts, e.g. the id that was not found.
        retry_after: seconds after which a retry makes sense, None if the answer names no time.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        violations: Sequence[Violation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after


class InvalidArgument(SynapseNetError):
    """The request itself is wrong, whatever the state of the platform."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(SynapseNetError):
    """Something that the request names does not exist."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(SynapseNetError):
    """The name is taken, or the request id was used with another body."""

    code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(SynapseNetError):
    """The platform is not in the state that the request needs."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(SynapseNetError):
    """A concurrent writer won; read again and retry."""

    code = grpc.StatusCode.ABORTED


class OutOfRange(SynapseNetError):
    """A position or page past what is retained."""

    code = grpc.StatusCode.OUT_OF_RANGE


class Unauthenticated(SynapseNetError):
    """Who is calling could not be established."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(SynapseNetError):
    """The caller is known and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class ResourceExhausted(SynapseNetError):
    """A bound was reached; `retry_after` says when to come back."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class DeadlineExceeded(SynapseNetError):
    """The work did not end in the time that was given."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Cancelled(SynapseNetError):
    """The call was given up, by the caller or by an operator."""

    code = grpc.StatusCode.CANCELLED


class Unavailable(SynapseNetError):
    """Nobody answers, or a part of the platform is away; the bounded retries are spent."""

    code = grpc.StatusCode.UNAVAILABLE


class DataLoss(SynapseNetError):
    """Bytes are not what was written."""

    code = grpc.StatusCode.DATA_LOSS


class Internal(SynapseNetError):
    """A bug of the platform."""

    code = grpc.StatusCode.INTERNAL


class Unimplemented(SynapseNetError):
    """The platform does not know the RPC: it is older than this SDK, or something else answers there."""

    code = grpc.StatusCode.UNIMPLEMENTED


class NotYetAvailable(Unimplemented):
    """The platform knows the RPC or option; a later release brings its behaviour."""


BY_CODE: Mapping[grpc.StatusCode, type[SynapseNetError]] = {kind.code: kind for kind in SynapseNetError.__subclasses__()}
"""The class that stands for each status code; UNKNOWN, which a broken server answers, is the root itself."""
