"""Instants as the stores keep them: whole microseconds since 1970-01-01T00:00:00Z."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import InvalidArgument

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    """Exact, unlike `timestamp()`, which is a float."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


EARLIEST = micros(datetime.min.replace(tzinfo=UTC))
LATEST = micros(datetime.max.replace(tzinfo=UTC))


def check_instants(instants: NDArray[np.int64], *, field: str) -> None:
    """Pass if all of `instants`, in µs since 1970, lie in the years that calendars and contracts have.

    Raises:
        InvalidArgument: INSTANT_OUT_OF_RANGE, naming the first that does not.
    """
    outside = (instants < EARLIEST) | (instants > LATEST)
    if outside.any():
        raise InvalidArgument(
            "INSTANT_OUT_OF_RANGE",
            f"{field}[{int(outside.argmax())}] is {int(instants[outside.argmax()])}",
            field=field,
            remedy="give microseconds since 1970, within the years 1 to 9999",
        )
