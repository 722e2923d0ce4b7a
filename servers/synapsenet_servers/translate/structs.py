"""JSON objects on the wire."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from synapsenet.errors import InvalidArgument

_EXACT = 1 << 53


def to_struct(values: Mapping[str, Any]) -> Struct:
    """`values` (null, truth values, numbers, texts, lists and mappings of such) on the wire, where all numbers are doubles.

    Raises:
        InvalidArgument: NUMBER_NOT_FINITE, which JSON has no word for.
    """
    wire = Struct()
    wire.update({name: _plain(value, name) for name, value in values.items()})
    return wire


def from_struct(wire: Struct, *, field: str) -> dict[str, Any]:
    """The inverse; a number without a fraction comes as an int, for the wire tells no difference.

    Raises:
        InvalidArgument: NUMBER_NOT_FINITE; `field` is named.
    """
    return {name: _value(value, field) for name, value in wire.fields.items()}


def _plain(value: Any, place: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part, place) for name, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(part, place) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise _not_finite(place)
    return value


def _value(wire: Value, field: str) -> Any:
    kind = wire.WhichOneof("kind")
    if kind == "struct_value":
        return from_struct(wire.struct_value, field=field)
    if kind == "list_value":
        return [_value(part, field) for part in wire.list_value.values]
    if kind == "number_value":
        return _number(wire.number_value, field)
    return None if kind in (None, "null_value") else getattr(wire, kind)


def _number(number: float, field: str) -> int | float:
    if not math.isfinite(number):
        raise _not_finite(field)
    return int(number) if number.is_integer() and abs(number) <= _EXACT else number


def _not_finite(field: str) -> InvalidArgument:
    return InvalidArgument("NUMBER_NOT_FINITE", f"{field}: a number is not finite", field=field, remedy="leave it out")
