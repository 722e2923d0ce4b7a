"""How an operation on a model ended: as an answer, or as the error that its caller would have got."""

from __future__ import annotations

from synapsenet_api.lifecycle.v1.operation_pb2 import Operation, OperationState
from synapsenet_client._enums import enum_name
from synapsenet_client._errors import Cancelled, DeadlineExceeded
from synapsenet_client._status import error_of_status

_ENDED = frozenset(
    {
        OperationState.OPERATION_STATE_SUCCEEDED,
        OperationState.OPERATION_STATE_COMPENSATED,
        OperationState.OPERATION_STATE_FAILED,
        OperationState.OPERATION_STATE_RESOLVED,
    }
)


def has_ended(operation: Operation) -> bool:
    """Whether nothing will happen to it any more; one that needs attention has not ended."""
    return operation.state in _ENDED


def succeeded(operation: Operation) -> Operation:
    """`operation`, if all its steps happened.

    Raises:
        SynapseNetError: why it did not succeed, as the class that a call would have raised; its `metadata` names the operation.
        Cancelled: OPERATION_UNDONE, it ended otherwise and nobody says why.
        DeadlineExceeded: OPERATION_UNENDED.
    """
    if operation.state == OperationState.OPERATION_STATE_SUCCEEDED:
        return operation
    named = {"operation_id": operation.id}
    title = f"{operation.saga} of version {operation.version} ({operation.id})"
    state = enum_name(OperationState, operation.state)
    if not has_ended(operation):
        raise DeadlineExceeded(f"{title} has not ended: it is {state}", reason="OPERATION_UNENDED", metadata=named)
    if operation.HasField("error"):
        error = error_of_status(operation.error)
        error.metadata |= named
        raise error
    raise Cancelled(f"{title} ended as {state}", reason="OPERATION_UNDONE", metadata=named)
