"""What another area's refusal means here: the way back of the error catalogue."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from synapsenet.errors import Internal, SynapseError, Unavailable
from synapsenet_servers.interceptors.catalogue import CODES

T = TypeVar("T")

_KINDS = {code.value[0]: kind for kind, code in CODES.items()}
_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})


async def asked(call: Awaitable[T], peer: str) -> T:
    """What a unary call to `peer` answers.

    Raises:
        SynapseError: as `translated`.
    """
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise translated(error, peer) from error


def translated(error: grpc.aio.AioRpcError, peer: str) -> SynapseError:
    """The error that `peer` raised, in its own class, words and reason; it was ours to begin with.

    What comes without a reason never reached the peer's service: PEER_UNAVAILABLE if a retry may help, else PEER_FAILED.
    """
    status = _status(error)
    if status is None or (raised := told(status)) is None:
        secret = f"{error.code().name}: {error.details()}"
        if error.code() in _AWAY:
            return Unavailable("PEER_UNAVAILABLE", f"{peer} does not answer", remedy="retry", secret=secret)
        return Internal("PEER_FAILED", f"{peer} failed", secret=secret)
    return raised


def told(status: Status) -> SynapseError | None:
    """The error of ours that `status` tells of; None if it has no reason of ours."""
    info, retry = ErrorInfo(), RetryInfo()
    if not _unpack(status, info):
        return None
    return _KINDS.get(status.code, Internal)(
        info.reason,
        status.message,
        field=_field(status),
        retry_after=retry.retry_delay.ToNanoseconds() / 1e9 if _unpack(status, retry) else None,
        metadata=info.metadata,
    )


def _status(error: grpc.aio.AioRpcError) -> Status | None:
    call: Any = error  # it has what from_call reads of a call
    try:
        return rpc_status.from_call(call)
    except ValueError:  # the trailers contradict the code: some other layer wrote one of them
        return None


def _field(status: Status) -> str:
    invalid, unmet = BadRequest(), PreconditionFailure()
    if _unpack(status, invalid) and invalid.field_violations:
        return str(invalid.field_violations[0].field)
    if _unpack(status, unmet) and unmet.violations:
        return str(unmet.violations[0].subject)
    return ""


def _unpack(status: Status, into: Any) -> bool:
    """Fill `into` with the first detail of its type; False if there is none."""
    return any(detail.Unpack(into) for detail in status.details)
