"""Instants and durations on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from synapsenet.errors import InvalidArgument


def to_timestamp(instant: datetime) -> Timestamp:
    """`instant` (timezone-aware) on the wire, to the microsecond."""
    wire = Timestamp()
    wire.FromDatetime(instant)
    return wire


def from_timestamp(wire: Timestamp, *, field: str) -> datetime:
    """The instant in UTC.

    Raises:
        InvalidArgument: TIME_INVALID, outside the years 1 to 9999; `field` is named.
    """
    try:
        return wire.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument("TIME_INVALID", field=field, remedy="give an instant between the years 1 and 9999") from error


def to_duration(span: timedelta) -> Duration:
    """`span` on the wire."""
    wire = Duration()
    wire.FromTimedelta(span)
    return wire


def from_duration(wire: Duration, *, field: str) -> timedelta:
    """The span.

    Raises:
        InvalidArgument: DURATION_INVALID, beyond what a duration can be; `field` is named.
    """
    try:
        return wire.ToTimedelta()
    except (ValueError, OverflowError) as error:
        raise InvalidArgument("DURATION_INVALID", field=field, remedy="give a duration below 10,000 years") from error
