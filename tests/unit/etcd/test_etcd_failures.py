"""What etcd answers becomes an error of the platform that says what is missing, and keeps etcd's own words to the log."""

from __future__ import annotations

import grpc
import pytest

from synapsenet.adapters.etcd.failures import LeaseGone, is_away, is_stale_token, translated
from synapsenet.adapters.etcd.member import refusal
from synapsenet.errors import Internal, PermissionDenied, ResourceExhausted, SynapseError, Unauthenticated, Unavailable

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "details", "kind", "reason"),
    [
        (Code.UNAVAILABLE, "etcdserver: no leader", Unavailable, "ETCD_UNAVAILABLE"),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", Unavailable, "ETCD_UNAVAILABLE"),
        (Code.UNKNOWN, "context deadline exceeded", Unavailable, "ETCD_UNAVAILABLE"),
        (Code.UNKNOWN, "raft proposal dropped", Unavailable, "ETCD_UNAVAILABLE"),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests", Unavailable, "ETCD_UNAVAILABLE"),
        (Code.INTERNAL, "Internal error from Core", Unavailable, "ETCD_UNAVAILABLE"),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", ResourceExhausted, "ETCD_FULL"),
        (Code.NOT_FOUND, "etcdserver: requested lease not found", LeaseGone, "LOCK_LOST"),
        (Code.INVALID_ARGUMENT, "etcdserver: user name is empty", Unauthenticated, "ETCD_USER_MISSING"),
        (
            Code.INVALID_ARGUMENT,
            "etcdserver: authentication failed, invalid user ID or password",
            Unauthenticated,
            "ETCD_PASSWORD_WRONG",
        ),
        (Code.UNAUTHENTICATED, "etcdserver: invalid auth token", Unauthenticated, "ETCD_PASSWORD_WRONG"),
        (Code.PERMISSION_DENIED, "etcdserver: permission denied", PermissionDenied, "ETCD_PERMISSION_MISSING"),
        (Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request", Internal, "ETCD_ERROR"),
    ],
)
def test_each_answer_has_its_error(code: Code, details: str, kind: type[SynapseError], reason: str) -> None:
    error = translated(refusal(code, details), endpoint="etcd-0:2379")
    assert type(error) is kind
    assert error.reason == reason
    assert details not in error.public


def test_only_what_another_member_may_answer_otherwise_is_asked_again() -> None:
    assert is_away(refusal(Code.UNAVAILABLE, "connection refused"))
    assert not is_away(refusal(Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"))
    assert is_stale_token(refusal(Code.UNAUTHENTICATED, "etcdserver: invalid auth token"))
    assert not is_stale_token(refusal(Code.PERMISSION_DENIED, "etcdserver: permission denied"))


def test_a_failed_handshake_leads_to_the_certificates() -> None:
    error = translated(refusal(Code.UNAVAILABLE, "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED"), endpoint="etcd-0:2379")
    assert isinstance(error, Unavailable)
    assert "etcd.ca_file" in error.public
