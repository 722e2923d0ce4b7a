"""How the platform's errors look on the wire: one table from error class to status code, and the details each carries."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status

from synapsenet import errors

DOMAIN = "synapsenet"

# A client of gRPC takes 8 KiB of trailers by default, and these stand in them more than once, as base64.
_SENTENCE = 2_600  # a hundred ids
_FACTS = 600
_VIOLATION = 200
_CUT = " … "

# A class that is not listed takes the code of its parent.
CODES: dict[type[errors.SynapseError], grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Aborted: grpc.StatusCode.ABORTED,
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DataLoss: grpc.StatusCode.DATA_LOSS,
    errors.Internal: grpc.StatusCode.INTERNAL,
}


def code(error: errors.SynapseError) -> grpc.StatusCode:
    """The status code of `error`, by its class or the nearest listed ancestor."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.UNKNOWN)


def status(error: errors.SynapseError) -> Status:
    """`error` as google.rpc.Status: ErrorInfo always, BadRequest, PreconditionFailure and RetryInfo where they apply."""
    wire = Status(code=code(error).value[0], message=_fitting(error.public, _SENTENCE))
    for detail in _details(error):
        wire.details.add().Pack(detail)
    return wire


def _details(error: errors.SynapseError) -> list[Message]:
    share = _FACTS // max(1, len(error.metadata))
    facts = {key: _fitting(value, share) for key, value in error.metadata.items()}
    field, described = _fitting(error.field, _VIOLATION), _fitting(error.public, _VIOLATION)
    details: list[Message] = [ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts)]
    if error.field and isinstance(error, errors.InvalidArgument | errors.Unimplemented):
        violation = BadRequest.FieldViolation(field=field, description=described)
        details.append(BadRequest(field_violations=[violation]))
    if isinstance(error, errors.FailedPrecondition):
        unmet = PreconditionFailure.Violation(type=error.reason, subject=field, description=described)
        details.append(PreconditionFailure(violations=[unmet]))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after * 1e9))
        details.append(RetryInfo(retry_delay=delay))
    return details


def _fitting(text: str, limit: int) -> str:
    """`text`, without its middle if it would take more than `limit` bytes in a trailer: what was sent may be quoted in it."""
    weights = [1 if " " <= letter <= "~" and letter != "%" else 3 * len(letter.encode("utf-8")) for letter in text]
    if sum(weights) <= limit:
        return text
    head = _taken(weights, limit * 2 // 3)
    tail = _taken(weights[::-1], limit // 3)
    return text[:head] + _CUT + text[len(text) - tail :]


def _taken(weights: Sequence[int], limit: int) -> int:
    """How many of the first `weights` go into `limit`."""
    return bisect_right(list(accumulate(weights)), limit)
