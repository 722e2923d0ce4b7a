"""What etcd's refusals and silences mean for the platform."""

from __future__ import annotations

import grpc

from synapsenet.errors import Aborted, Internal, PermissionDenied, ResourceExhausted, SynapseError, Unauthenticated, Unavailable

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
# Told without a code of their own, by etcd and, the last, by gRPC of a stream whose connection broke while it was written to.
_AWAY_WORDS = (
    "leader changed",
    "no leader",
    "request timed out",
    "not leader",
    "server stopped",
    "raft proposal dropped",
    "too many requests",
    "context deadline exceeded",
    "context canceled",
    "internal error from core",
)


class LeaseGone(Aborted):
    """The lease under which something was to be written is no more; a new one can be had."""

    def __init__(self) -> None:
        super().__init__("LOCK_LOST", "the lease with etcd ran out", remedy="give up what it protected and start again")


def is_away(error: grpc.aio.AioRpcError) -> bool:
    """Whether another member, or the same one later, may answer."""
    details = (error.details() or "").lower()
    return error.code() in _AWAY or any(words in details for words in _AWAY_WORDS)


def is_stale_token(error: grpc.aio.AioRpcError) -> bool:
    """Whether a new token from the same credentials may be taken."""
    details = (error.details() or "").lower()
    return "invalid auth token" in details or "auth store is old" in details


def translated(error: grpc.aio.AioRpcError, *, endpoint: str) -> SynapseError:
    """The platform's error for what the member at `endpoint` answered."""
    details = (error.details() or "").lower()
    secret = f"{endpoint}: {error.code().name} {error.details()}"
    if is_away(error):
        return _away(details, endpoint, secret)
    if "requested lease not found" in details:
        return LeaseGone()
    if "space exceeded" in details:
        return ResourceExhausted(
            "ETCD_FULL",
            "etcd has no space left and takes no more writes",
            remedy="compact and defragment it, raise its quota, then clear its alarm (etcdctl alarm disarm)",
            secret=secret,
        )
    return _refused(error, details, secret)


def _away(details: str, endpoint: str, secret: str) -> Unavailable:
    if "certificate" in details or "ssl" in details or "tls" in details:
        return Unavailable(
            "ETCD_UNAVAILABLE",
            f"there is no TLS connection to etcd at {endpoint}",
            remedy="check etcd.ca_file, etcd.certificate_file and etcd.key_file, and that its certificate names the host",
            secret=secret,
        )
    return Unavailable("ETCD_UNAVAILABLE", "etcd does not answer, or has no quorum", remedy="retry", secret=secret)


def _refused(error: grpc.aio.AioRpcError, details: str, secret: str) -> SynapseError:
    if "user name is empty" in details:
        return Unauthenticated(
            "ETCD_USER_MISSING", "etcd asks for a user", remedy="set etcd.user and etcd.password_file", secret=secret
        )
    if "authentication failed" in details or is_stale_token(error):
        return Unauthenticated(
            "ETCD_PASSWORD_WRONG",
            "etcd refuses the user or the password",
            remedy="check etcd.user and the file etcd.password_file",
            secret=secret,
        )
    if error.code() is grpc.StatusCode.PERMISSION_DENIED or "permission denied" in details:
        return PermissionDenied(
            "ETCD_PERMISSION_MISSING",
            "etcd does not let this user touch the platform's keys",
            remedy="grant its role readwrite on the keys below etcd.prefix",
            secret=secret,
        )
    return Internal("ETCD_ERROR", "etcd refused a request", secret=secret)
