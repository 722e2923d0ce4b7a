"""A gRPC status becomes the typed error that says it best."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

import synapsenet.errors
import synapsenet_client
from synapsenet_client import NotYetAvailable, SynapseNetError
from synapsenet_client._errors import BY_CODE
from synapsenet_client._status import error_of_call, error_of_status


def failed(code: grpc.StatusCode, details: str, metadata: tuple[tuple[str, str | bytes], ...] = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), details, "")


def sentence(code: grpc.StatusCode, details: str, timeout: float | None = None) -> tuple[str, str]:
    error = error_of_call(failed(code, details), target="platform:7400", timeout=timeout)
    return error.reason, str(error)


def test_every_error_of_the_platform_has_a_class_of_the_same_name() -> None:
    def names(root: type[Exception]) -> set[str]:
        # What an adapter makes of one for itself, if it happens to be loaded, never leaves the adapter.
        kinds = (kind for kind in root.__subclasses__() if kind.__module__ == root.__module__)
        return {root.__name__} | {name for kind in kinds for name in names(kind)}

    ours, theirs = names(SynapseNetError), names(synapsenet.errors.SynapseError)
    assert theirs - {"SynapseError"} <= ours


def test_every_status_code_but_ok_and_unknown_has_a_class() -> None:
    assert set(grpc.StatusCode) - set(BY_CODE) == {grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN}


def test_details_become_reason_violations_metadata_and_retry_after() -> None:
    status = status_pb2.Status(code=8, message="the queue is full")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="QUEUE_FULL", metadata={"model": "digits"}))
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=250_000_000)))
    unmet = error_details_pb2.PreconditionFailure.Violation(type="QUEUE", subject="digits", description="drain it")
    status.details.add().Pack(error_details_pb2.PreconditionFailure(violations=[unmet]))
    error = error_of_status(status)
    assert isinstance(error, synapsenet_client.ResourceExhausted)
    assert (error.reason, error.retry_after, error.metadata) == ("QUEUE_FULL", 0.25, {"model": "digits"})
    assert [(found.field, found.description) for found in error.violations] == [("digits", "drain it")]


def test_not_yet_available_is_known_by_its_reason() -> None:
    status = status_pb2.Status(code=12, message="comes with the lifecycle")
    assert type(error_of_status(status)) is synapsenet_client.Unimplemented
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="NOT_YET_AVAILABLE"))
    assert type(error_of_status(status)) is NotYetAvailable


def test_a_status_code_that_is_newer_than_the_sdk_is_still_an_error() -> None:
    error = error_of_status(status_pb2.Status(code=99, message="from the future"))
    assert type(error) is SynapseNetError
    assert str(error) == "from the future"


def test_rich_details_outrank_the_plain_ones() -> None:
    status = status_pb2.Status(code=5, message="no model is called digits")
    failure = failed(grpc.StatusCode.NOT_FOUND, "other", (("grpc-status-details-bin", status.SerializeToString()),))
    assert str(error_of_call(failure, target="t", timeout=None)) == "no model is called digits"


def test_details_that_a_proxy_cut_leave_the_plain_status() -> None:
    failure = failed(grpc.StatusCode.NOT_FOUND, "no model", (("grpc-status-details-bin", b"\xff\xff"),))
    error = error_of_call(failure, target="t", timeout=None)
    assert isinstance(error, synapsenet_client.NotFound)
    assert str(error) == "no model"


@pytest.mark.parametrize(
    ("code", "details", "reason", "said"),
    [
        (grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error: …", "UNREACHABLE", "synapsenet dev"),
        (grpc.StatusCode.UNAVAILABLE, "DNS resolution failed for platform", "UNREACHABLE", "platform:7400"),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", "CONNECTION_LOST", "Socket closed"),
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect to all addresses; last error: UNKNOWN: CERTIFICATE_VERIFY_FAILED: certificate has expired: OK",
            "CERTIFICATE_NOT_TRUSTED",
            "(certificate has expired)",
        ),
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:127.0.0.1:7400: Socket closed",
            "HANDSHAKE_REFUSED",
            "client certificate",
        ),
        (grpc.StatusCode.CANCELLED, "", "CANCELLED", "was cancelled"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Sent message larger than max (9 vs. 4)", "MESSAGE_TOO_LARGE", "the limit is 4"),
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", "", "is it a SynapseNet"),
        (grpc.StatusCode.INTERNAL, "", "", "INTERNAL without a reason"),
    ],
)
def test_a_status_without_details_becomes_a_sentence(code: grpc.StatusCode, details: str, reason: str, said: str) -> None:
    found, text = sentence(code, details)
    assert found == reason
    assert said in text
    assert "\n" not in text


def test_a_deadline_names_the_time_that_was_given() -> None:
    assert sentence(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", 2.5)[1].startswith(
        "platform:7400 did not answer within 2.5 s"
    )
