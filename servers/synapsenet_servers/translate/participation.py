"""Steps of sagas on the wire."""

from __future__ import annotations

from synapsenet.errors import InvalidArgument
from synapsenet.platform.participation import StepCall
from synapsenet_api.lifecycle.v1 import participant_control_service_pb2 as pb
from synapsenet_servers.translate.structs import from_struct

_TOKEN_BITS = 40
_EPOCH_BITS = 23  # together they fit into 63 bits, which is what databases count with


def step_call(wire: pb.StepCall) -> StepCall:
    return StepCall(
        operation_id=wire.operation_id,
        step=wire.step,
        saga=wire.saga,
        saga_version=wire.saga_version,
        model_id=wire.model_id,
        version=wire.version,
        input=from_struct(wire.input, field="call.input"),
    )


def fence(wire: pb.Fence) -> int:
    """A fence as one number, which compares as epoch and token do.

    Raises:
        InvalidArgument: FENCE_INVALID.
    """
    if not (0 <= wire.epoch < 1 << _EPOCH_BITS and 0 < wire.token < 1 << _TOKEN_BITS):
        raise InvalidArgument(
            "FENCE_INVALID",
            f"fence: epoch {wire.epoch} with token {wire.token} is none that a lock gives",
            field="fence",
            remedy="send the token of the lock that is held",
        )
    return (wire.epoch << _TOKEN_BITS) + wire.token


def to_fence(number: int) -> pb.Fence:
    """The inverse."""
    return pb.Fence(epoch=number >> _TOKEN_BITS, token=number & ((1 << _TOKEN_BITS) - 1))
