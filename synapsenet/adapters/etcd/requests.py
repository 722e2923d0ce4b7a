"""etcd's requests as the platform makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aetcd import rpc

_CREATE, _VALUE = 1, 3  # Compare.CompareTarget
_EQUAL, _GREATER = 0, 1  # Compare.CompareResult
_BY_CREATE = 2  # RangeRequest.SortTarget
_ASCENDING, _DESCENDING = 1, 2  # RangeRequest.SortOrder


def end_of(prefix: bytes) -> bytes:
    """The first key after all that begin with `prefix`, whose last byte is below 0xff."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def after(key: bytes) -> bytes:
    """The first key after `key` itself."""
    return key + b"\0"


def is_absent(key: bytes) -> Any:
    return rpc.Compare(key=key, target=_CREATE, result=_EQUAL, create_revision=0)


def is_empty(prefix: bytes) -> Any:
    """There is no key below `prefix`."""
    return rpc.Compare(key=prefix, range_end=end_of(prefix), target=_CREATE, result=_EQUAL, create_revision=0)


def was_created_at(key: bytes, revision: int) -> Any:
    return rpc.Compare(key=key, target=_CREATE, result=_EQUAL, create_revision=revision)


def has_value(key: bytes, value: bytes) -> Any:
    return rpc.Compare(key=key, target=_VALUE, result=_EQUAL, value=value)


def is_above(key: bytes, value: bytes) -> Any:
    """The key is there and its value is greater than `value`, byte by byte."""
    return rpc.Compare(key=key, target=_VALUE, result=_GREATER, value=value)


def put(key: bytes, value: bytes, *, lease: int = 0) -> Any:
    return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value, lease=lease))


def get(key: bytes) -> Any:
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key))


def first_below(prefix: bytes) -> Any:
    """The key below `prefix` that was created first."""
    return rpc.RequestOp(
        request_range=rpc.RangeRequest(
            key=prefix, range_end=end_of(prefix), limit=1, sort_target=_BY_CREATE, sort_order=_ASCENDING
        )
    )


def delete(key: bytes, range_end: bytes = b"") -> Any:
    return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key, range_end=range_end))


def last_before(prefix: bytes, revision: int) -> Any:
    """The key below `prefix` that was created last before `revision`: whom one who came then waits for."""
    return rpc.RangeRequest(
        key=prefix,
        range_end=end_of(prefix),
        limit=1,
        max_create_revision=revision - 1,
        sort_target=_BY_CREATE,
        sort_order=_DESCENDING,
    )


def everything_below(prefix: bytes, *, serializable: bool = False) -> Any:
    return rpc.RangeRequest(key=prefix, range_end=end_of(prefix), serializable=serializable)


def transaction(*, when: Sequence[Any], then: Sequence[Any] = (), otherwise: Sequence[Any] = ()) -> Any:
    """All of `then` if every comparison of `when` holds, else all of `otherwise`; at one revision."""
    return rpc.TxnRequest(compare=when, success=then, failure=otherwise)


def found(reply: Any, index: int) -> Any | None:
    """What the range at `index` of a transaction's operations found first, if anything."""
    values = reply.responses[index].response_range.kvs
    return values[0] if values else None
