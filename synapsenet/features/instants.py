"""The instants that events and training sets may have: those of the years that calendars and contracts know."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from synapsenet.clock import micros
from synapsenet.errors import InvalidArgument

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
