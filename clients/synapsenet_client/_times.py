"""Instants and durations as the contracts have them, from what Python has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from synapsenet_client._errors import InvalidArgument
from synapsenet_client._values import is_array

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def duration(length: float | timedelta | None) -> Duration | None:
    """Seconds, or a timedelta; None stays absent."""
    if length is None:
        return None
    message = Duration()
    message.FromTimedelta(length if isinstance(length, timedelta) else timedelta(seconds=length))
    return message


def timestamp(name: str, instant: datetime | None) -> Timestamp | None:
    """None stays absent.

    Raises:
        InvalidArgument: the instant has no time zone, so that it could be any of 24.
    """
    if instant is None:
        return None
    message = Timestamp()
    message.FromDatetime(_aware(name, instant))
    return message


def microseconds(name: str, instants: Any) -> list[int]:
    """Instants as microseconds since 1970-01-01T00:00:00Z.

    Args:
        name: of the argument, for the sentence that reports a bad one.
        instants: one or many of: datetime with a time zone, int microseconds; or an array of datetime64 or integers.
    """
    if is_array(instants):
        values = instants.astype("datetime64[us]") if instants.dtype.kind == "M" else instants
        return [int(value) for value in values.astype("int64").reshape(-1).tolist()]
    many = instants if isinstance(instants, Sequence) else [instants]
    return [_microseconds(name, instant) for instant in many]


def _microseconds(name: str, instant: object) -> int:
    if isinstance(instant, datetime):
        return (_aware(name, instant) - _EPOCH) // _MICROSECOND
    if isinstance(instant, int):
        return instant
    raise InvalidArgument(
        f"{name}: {instant!r} is no instant: give datetimes with a time zone, or microseconds since 1970", reason="NO_INSTANT"
    )


def _aware(name: str, instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise InvalidArgument(
            f"{name}: {instant.isoformat()} has no time zone: use datetime.now(UTC) or replace(tzinfo=…)", reason="NO_TIME_ZONE"
        )
    return instant
