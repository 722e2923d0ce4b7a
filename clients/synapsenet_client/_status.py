"""gRPC status to typed error: the rich details that the platform attaches, and plain sentences for statuses without any."""

from __future__ import annotations

import re
from collections.abc import Iterable

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from synapsenet_client._errors import BY_CODE, NotYetAvailable, SynapseNetError, Violation

_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_TOO_LARGE = re.compile(r"(?:Sent|Received) message larger than max \((\d+) vs\. (\d+)\)")
HANDSHAKES = (
    (
        "CERTIFICATE_VERIFY_FAILED: ([^:]*)",
        "CERTIFICATE_NOT_TRUSTED",
        "shows a certificate that is not trusted ({}): name its authority as tls.ca (--ca), or have the certificate renewed",
    ),
    (
        "Hostname Verification Check failed",
        "CERTIFICATE_OF_ANOTHER",
        "shows a certificate for other names: use one of those as the target, or set tls.server_name",
    ),
    (
        "Failed to create security handshaker",
        "TLS_KEY_MISMATCH",
        "was not called: tls.certificate and tls.key do not belong together",
    ),
    ("WRONG_VERSION_NUMBER", "TLS_NOT_SPOKEN", "speaks plain text: connect without tls (without --ca)"),
    (
        "failed to connect.*(?:Socket closed|Connection reset)",
        "HANDSHAKE_REFUSED",
        "closes connections at once: it may want TLS (--ca), and a client certificate of its own authority",
    ),
)
"""What gRPC says of a connection that did not come about, the reason and what follows the target in our sentence."""
_NO_CONNECTION = re.compile(r"failed to connect|name resolution|DNS|connection refused|no such file", re.IGNORECASE)


def error_of_call(failure: grpc.RpcError, *, target: str, timeout: float | None) -> SynapseNetError:
    """The typed error for what a call raised; `target` and `timeout` make a sentence where the status brings none."""
    call: grpc.Call = failure  # type: ignore[assignment]  # every RpcError raised by a call is a grpc.Call too
    status = _rich_status(call.trailing_metadata() or ())
    if status is not None and status.code:
        return error_of_status(status)
    code, details = call.code(), call.details() or ""
    reason, message = _plain(code, details, target, timeout)
    return BY_CODE.get(code, SynapseNetError)(message, reason=reason)


def error_of_status(status: status_pb2.Status) -> SynapseNetError:
    """The typed error for a `google.rpc.Status`, as it ends a call or stands beside one item of a stream."""
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    bad = error_details_pb2.BadRequest()
    unmet = error_details_pb2.PreconditionFailure()
    known = {message.DESCRIPTOR.full_name: message for message in (info, retry, bad, unmet)}
    for detail in status.details:
        if (message := known.get(detail.TypeName())) is not None:
            detail.Unpack(message)
    violations = [Violation(field=found.field, description=found.description) for found in bad.field_violations]
    violations += [Violation(field=found.subject, description=found.description) for found in unmet.violations]
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    kind = NotYetAvailable if info.reason == "NOT_YET_AVAILABLE" else BY_CODE.get(code, SynapseNetError)
    return kind(
        status.message,
        reason=info.reason,
        violations=violations,
        metadata=info.metadata,
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
    )


def _rich_status(metadata: Iterable[tuple[str, str | bytes]]) -> status_pb2.Status | None:
    for key, value in metadata:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None  # a proxy cut the trailer: the plain code and details still stand
    return None


def _plain(code: grpc.StatusCode, details: str, target: str, timeout: float | None) -> tuple[str, str]:
    """Reason and sentence for a status that carries no ErrorInfo: gRPC's own, or a stranger's."""
    if code is grpc.StatusCode.UNAVAILABLE and (handshake := _handshake(details, target)) is not None:
        return handshake
    if code is grpc.StatusCode.UNAVAILABLE and _NO_CONNECTION.search(details):
        return "UNREACHABLE", f"no SynapseNet answers at {target}: start one with `synapsenet dev`, or name another target"
    if code is grpc.StatusCode.UNAVAILABLE:
        return "CONNECTION_LOST", f"the connection to {target} was lost ({details or 'no cause given'}): try again"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        given = "" if timeout is None else f" within {timeout:g} s"
        return "DEADLINE_EXCEEDED", f"{target} did not answer{given}: allow the call more time or try again"
    if code is grpc.StatusCode.CANCELLED:
        return "CANCELLED", details or "the call was cancelled"
    if (sizes := _TOO_LARGE.search(details)) is not None:
        size, limit = sizes.groups()
        remedy = "use smaller parts; the limit of this side is Options.max_message_bytes"
        return "MESSAGE_TOO_LARGE", f"a message has {size} bytes and the limit is {limit}: {remedy}"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return "", f"{target} does not know this call ({details}): is it a SynapseNet, and as new as this SDK?"
    return "", details or f"{target} answered {code.name} without a reason"


def _handshake(details: str, target: str) -> tuple[str, str] | None:
    """Reason and sentence for a connection that somebody answered and that TLS, or the lack of it, ended."""
    for pattern, reason, sentence in HANDSHAKES:
        if (found := re.search(pattern, details)) is not None:
            return reason, f"{target} {sentence.format(*found.groups())}"
    return None
