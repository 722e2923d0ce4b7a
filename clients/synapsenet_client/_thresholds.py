"""What a metric must reach, as people write it: `accuracy>=0.95`."""

from __future__ import annotations

import math
import re

from synapsenet_api.lifecycle.v1.validation_report_pb2 import Comparator, Threshold
from synapsenet_client._errors import InvalidArgument

_WRITTEN = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=|<|>)\s*(\S+)\s*")

COMPARATORS = {
    "<": Comparator.COMPARATOR_LESS,
    "<=": Comparator.COMPARATOR_AT_MOST,
    ">=": Comparator.COMPARATOR_AT_LEAST,
    ">": Comparator.COMPARATOR_MORE,
}


def threshold(text: str) -> Threshold:
    """`accuracy>=0.95` as the contract has it.

    Raises:
        InvalidArgument: THRESHOLD_UNREADABLE.
    """
    if (found := _WRITTEN.fullmatch(text)) is not None:
        metric, sign, number = found.groups()
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return Threshold(metric=metric, comparator=COMPARATORS[sign], value=value)
    raise InvalidArgument(f"{text!r} is no threshold: write accuracy>=0.95, with <, <=, >= or >", reason="THRESHOLD_UNREADABLE")
