"""Thresholds as people write them, and how an operation's end reaches its caller."""

from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from synapsenet_api.lifecycle.v1.operation_pb2 import Operation, OperationState
from synapsenet_api.lifecycle.v1.validation_report_pb2 import Comparator, Threshold
from synapsenet_client import (
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    SynapseNetError,
    has_ended,
    succeeded,
    threshold,
)

ENDED = {"SUCCEEDED", "COMPENSATED", "FAILED", "RESOLVED"}


def operation(state: str, error: Status | None = None) -> Operation:
    number = OperationState.Value(f"OPERATION_STATE_{state}")
    return Operation(id="op-1", saga="deploy", version=2, state=number, error=error)


@pytest.mark.parametrize(
    ("text", "comparator"),
    [
        ("accuracy<0.5", Comparator.COMPARATOR_LESS),
        ("accuracy<=0.5", Comparator.COMPARATOR_AT_MOST),
        ("accuracy >= 5e-1", Comparator.COMPARATOR_AT_LEAST),
        ("accuracy>.5", Comparator.COMPARATOR_MORE),
    ],
)
def test_a_threshold_reads_as_it_is_written(text: str, comparator: Comparator.ValueType) -> None:
    assert threshold(text) == Threshold(metric="accuracy", comparator=comparator, value=0.5)


@pytest.mark.parametrize("text", ["", "accuracy", "accuracy=0.5", ">=0.5", "accuracy>=", "accuracy>=high", "accuracy>=nan"])
def test_what_is_no_threshold_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"write accuracy>=0\.95") as caught:
        threshold(text)
    assert caught.value.reason == "THRESHOLD_UNREADABLE"


@pytest.mark.parametrize("state", [name.removeprefix("OPERATION_STATE_") for name in OperationState.DESCRIPTOR.values_by_name])
def test_only_one_that_succeeded_is_given_back(state: str) -> None:
    one = operation(state)
    assert has_ended(one) == (state in ENDED)
    if state == "SUCCEEDED":
        assert succeeded(one) is one
        return
    with pytest.raises(SynapseNetError) as caught:
        succeeded(one)
    assert isinstance(caught.value, Cancelled if state in ENDED else DeadlineExceeded)
    assert caught.value.metadata == {"operation_id": "op-1"}
    assert state in caught.value.message


def test_what_went_wrong_is_raised_as_its_own_class() -> None:
    detail = Packed()
    detail.Pack(ErrorInfo(reason="PROMISE_BROKEN", domain="synapsenet", metadata={"output": "digit"}))
    failed = operation("COMPENSATED", Status(code=9, message="digits:2 breaks its promise", details=[detail]))
    with pytest.raises(FailedPrecondition, match="breaks its promise") as caught:
        succeeded(failed)
    assert caught.value.reason == "PROMISE_BROKEN"
    assert caught.value.metadata == {"output": "digit", "operation_id": "op-1"}
