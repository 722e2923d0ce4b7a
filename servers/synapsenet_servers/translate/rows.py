"""Rows for people, JSON objects, as columns and back."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from synapsenet.clock import instant, micros
from synapsenet.errors import InvalidArgument
from synapsenet.features.columns import Columns, column_of
from synapsenet.features.instants import EARLIEST, LATEST
from synapsenet.features.model import ColumnType, ValueType

_NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}  # as JSON spells doubles of the contracts
_EXACT = 2**53  # a JSON number is a double


def from_rows(rows: Sequence[Struct], types: Sequence[ColumnType], *, field: str, besides: Sequence[str] = ()) -> Columns:
    """`rows` as columns of `types`; a type that no row has is left out, `besides` are names that the caller reads itself.

    Raises:
        InvalidArgument: COLUMN_UNKNOWN or VALUE_TYPE, naming row and column.
    """
    found = [MessageToDict(row) for row in rows]
    known = {kind.name for kind in types} | set(besides)
    for index, row in enumerate(found):
        for name in row:
            if name not in known:
                raise InvalidArgument(
                    "COLUMN_UNKNOWN",
                    f"{field}[{index}] has an unknown {name}",
                    field=field,
                    remedy="leave it out or correct it",
                )
    given = [kind for kind in types if any(kind.name in row for row in found)]
    columns = [
        column_of(kind, [value_of(kind, row.get(kind.name), field=f"{field}[{index}]") for index, row in enumerate(found)])
        for kind in given
    ]
    return Columns(len(found), tuple(columns))


def instants_of(rows: Sequence[Struct], name: str, *, field: str) -> list[int | None]:
    """The instant that each row has under `name`, in µs since 1970; None where it has none."""
    kind = ColumnType(name=name, type=ValueType.TIMESTAMP)
    return [value_of(kind, MessageToDict(row).get(name), field=f"{field}[{index}]") for index, row in enumerate(rows)]


def value_of(kind: ColumnType, value: Any, *, field: str) -> Any:
    """The domain's value for a JSON one; None stays None.

    Raises:
        InvalidArgument: VALUE_TYPE.
    """
    if value is None:
        return None
    try:
        if not kind.vector_length:
            return _SCALARS[kind.type](value)
        if not isinstance(value, list) or len(value) != kind.vector_length:
            raise ValueError("no list of that length")
        return [_SCALARS[kind.type](element) for element in value]
    except (ValueError, TypeError, binascii.Error) as error:
        length = f"[{kind.vector_length}]" if kind.vector_length else ""
        raise InvalidArgument(
            "VALUE_TYPE",
            f"{field}.{kind.name} is no {kind.type.value}{length}",
            field=f"{field}.{kind.name}",
            remedy="send whole numbers beyond 2^53 as text, times in RFC 3339, bytes in base64",
        ) from error


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("no boolean")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and (not value.is_integer() or abs(value) > _EXACT)):
        raise ValueError("no whole number")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("no number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _bytes(value: Any) -> bytes:
    return base64.b64decode(_text(value), validate=True)


def _time(value: Any) -> int:
    parsed = datetime.fromisoformat(_text(value))
    if parsed.tzinfo is None:
        raise ValueError("no time zone")
    return micros(parsed)


_SCALARS: dict[ValueType, Callable[[Any], Any]] = {
    ValueType.BOOL: _boolean,
    ValueType.INT32: _whole,
    ValueType.INT64: _whole,
    ValueType.FLOAT: _number,
    ValueType.DOUBLE: _number,
    ValueType.STRING: _text,
    ValueType.BYTES: _bytes,
    ValueType.TIMESTAMP: _time,
}


def to_json(kind: ColumnType, value: Any) -> Any:
    """The JSON value for one of a column's values; as text what JSON's numbers cannot say: 2^53 and beyond, NaN, infinities."""
    if kind.vector_length:
        return [to_json(ColumnType(name=kind.name, type=kind.type), element) for element in value.tolist()]
    value = value.item() if hasattr(value, "item") else value
    if kind.type is ValueType.BYTES:
        return base64.b64encode(value).decode("ascii")
    if kind.type is ValueType.TIMESTAMP and EARLIEST <= value <= LATEST:
        return instant(value).isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and not math.isfinite(value):
        return _NON_FINITE[str(value)]
    return str(value) if isinstance(value, int) and abs(value) > _EXACT else value
