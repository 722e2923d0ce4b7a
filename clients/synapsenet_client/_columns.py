"""Feature columns: from arrays and sequences to the contract's packed buffers, and back."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from synapsenet_api.features.v1 import feature_service_pb2 as pb
from synapsenet_api.features.v1.feature_group_pb2 import FeatureGroup
from synapsenet_api.features.v1.value_pb2 import Columns, ColumnType, ValueStatus, ValueType
from synapsenet_client._enums import enum_value
from synapsenet_client._errors import InvalidArgument
from synapsenet_client._times import microseconds
from synapsenet_client._values import SIZES, Values, element_type, is_array, packed, shape_of, unpacked

_PACKED_AS = {
    ValueType.VALUE_TYPE_BOOL: "BOOL",
    ValueType.VALUE_TYPE_INT32: "INT32",
    ValueType.VALUE_TYPE_INT64: "INT64",
    ValueType.VALUE_TYPE_FLOAT: "FLOAT32",
    ValueType.VALUE_TYPE_DOUBLE: "FLOAT64",
    ValueType.VALUE_TYPE_TIMESTAMP: "INT64",
}
_TEXT = {ValueType.VALUE_TYPE_STRING, ValueType.VALUE_TYPE_BYTES}
_INFERRED = {
    "BOOL": ValueType.VALUE_TYPE_BOOL,
    "INT8": ValueType.VALUE_TYPE_INT32,
    "INT16": ValueType.VALUE_TYPE_INT32,
    "INT32": ValueType.VALUE_TYPE_INT32,
    "INT64": ValueType.VALUE_TYPE_INT64,
    "UINT8": ValueType.VALUE_TYPE_INT32,
    "UINT16": ValueType.VALUE_TYPE_INT32,
    "UINT32": ValueType.VALUE_TYPE_INT64,
    "UINT64": ValueType.VALUE_TYPE_INT64,
    "FLOAT16": ValueType.VALUE_TYPE_FLOAT,
    "FLOAT32": ValueType.VALUE_TYPE_FLOAT,
    "FLOAT64": ValueType.VALUE_TYPE_DOUBLE,
    "STRING": ValueType.VALUE_TYPE_STRING,
    "BYTES": ValueType.VALUE_TYPE_BYTES,
}


def parsed_type(name: str, spelled: str) -> ColumnType:
    """A type as people write it, `INT64` or `FLOAT[64]`, as the type of the column `name`.

    Raises:
        InvalidArgument: there is no such type.
    """
    element, bracket, length = spelled.partition("[")
    if bracket and not (length.endswith("]") and length[:-1].isdigit() and int(length[:-1]) > 0):
        raise InvalidArgument(
            f"{name}: {spelled!r} is no type: write a vector as FLOAT[64], a scalar as INT64", reason="TYPE_UNKNOWN"
        )
    kind = enum_value(name, ValueType, element)
    return ColumnType(name=name, type=kind, vector_length=int(length[:-1]) if bracket else 0)


def types_of(group: FeatureGroup) -> dict[str, ColumnType]:
    """The types of a group's keys and features by name."""
    keys = {key.name: ColumnType(name=key.name, type=key.type) for key in group.entity_keys}
    features = {
        feature.name: ColumnType(name=feature.name, type=feature.type, vector_length=feature.vector_length)
        for feature in group.features
    }
    return keys | features


def columns_message(values: Mapping[str, Values], group: FeatureGroup | None = None) -> Columns:
    """Columns by name as one message.

    Args:
        values: equally long arrays or sequences; an array of two dimensions, or sequences in a sequence, is a column of
            vectors. None in a sequence is a null.
        group: whose types the columns take; without it, and for names that it lacks, types are those of the values
            (Python's int is INT64, float DOUBLE).

    Raises:
        InvalidArgument: lengths differ, or a column's values have no type of the contract.
    """
    known = types_of(group) if group is not None else {}
    lengths = {name: len(column) for name, column in values.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InvalidArgument(f"columns: they differ in length ({told}): give every column one value a row", reason="RAGGED")
    packs = [_pack(name, column, known.get(name)) for name, column in values.items()]
    nulls = b"".join(pack.nulls for pack in packs)
    return Columns(
        columns=[pack.type for pack in packs],
        rows=next(iter(lengths.values()), 0),
        nulls=nulls if any(nulls) else b"",
        data=b"".join(pack.data for pack in packs),
    )


@dataclass(frozen=True, slots=True)
class _Packed:
    type: ColumnType
    nulls: bytes
    data: bytes


def _pack(name: str, values: Values, known: ColumnType | None) -> _Packed:
    kind = known if known is not None else _inferred(name, values)
    nulls = bytes(len(values)) if is_array(values) else bytes(value is None for value in values)
    if kind.type in _TEXT:
        texts = [value.encode() if isinstance(value, str) else bytes(value or b"") for value in values]
        return _Packed(kind, nulls, struct.pack(f"<{len(texts)}I", *map(len, texts)) + b"".join(texts))
    if kind.type == ValueType.VALUE_TYPE_TIMESTAMP:
        values = microseconds(name, values if is_array(values) else [0 if value is None else value for value in values])
    if kind.vector_length and any(nulls):
        values = [[0] * kind.vector_length if value is None else value for value in values]
    extents = (len(values), *((kind.vector_length,) if kind.vector_length else ()))
    if (shape := shape_of(values)) != extents and extents[0]:
        raise InvalidArgument(f"{name}: its shape is {shape}, and {extents} is wanted: reshape it", reason="SHAPE_MISMATCH")
    return _Packed(kind, nulls, packed(name, values, _PACKED_AS[kind.type]))


def _inferred(name: str, values: Values) -> ColumnType:
    first = next((value for value in values if value is not None), None)
    shape = shape_of(first)
    if len(shape) > 1:
        raise InvalidArgument(f"{name}: a column holds scalars or vectors: reshape it to (rows, n)", reason="SHAPE_MISMATCH")
    if _holds_instants(values):
        return ColumnType(name=name, type=ValueType.VALUE_TYPE_TIMESTAMP)
    kind = _INFERRED[element_type(name, values)]
    return ColumnType(name=name, type=kind, vector_length=shape[0] if shape else 0)


def _holds_instants(values: Any) -> bool:
    if is_array(values):
        return bool(values.dtype.kind == "M")
    return isinstance(next((value for value in values if value is not None), None), datetime)


def columns_from(message: Columns) -> dict[str, Any]:
    """The columns of a message by name: arrays (lists without numpy) of numbers and vectors, lists of texts, with None for
    null. TIMESTAMP columns are microseconds since 1970-01-01T00:00:00Z. A null number reads as whatever stands in its place:
    look at the statuses beside the columns."""
    columns: dict[str, Any] = {}
    at = 0
    for place, column in enumerate(message.columns):
        nulls = message.nulls[place * message.rows : (place + 1) * message.rows]
        if column.type in _TEXT:
            columns[column.name], at = _texts(message.data, at, message.rows, column.type == ValueType.VALUE_TYPE_STRING, nulls)
            continue
        kind = _PACKED_AS[column.type]
        size = message.rows * max(column.vector_length, 1) * SIZES[kind]
        shape = (message.rows, column.vector_length) if column.vector_length else (message.rows,)
        columns[column.name] = unpacked(message.data[at : at + size], kind, shape)
        at += size
    return columns


def _texts(data: bytes, at: int, rows: int, decode: bool, nulls: bytes) -> tuple[list[Any], int]:
    lengths = struct.unpack_from(f"<{rows}I", data, at)
    at += 4 * rows
    texts: list[Any] = []
    for row, length in enumerate(lengths):
        text = data[at : at + length]
        texts.append(None if nulls and nulls[row] else text.decode() if decode else text)
        at += length
    return texts, at


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineFeatures:
    """The newest values of entities, column by column; rows are the entities in the order asked for.

    Attributes:
        as_of: the instant to which ages were taken.
        values: by `group:feature` reference; an array where numpy is installed, a list for texts.
        statuses: by reference, one ValueStatus a row: 1 present, 2 null, 3 not found, 4 older than the group's maximal age.
        event_times_us: by group, microseconds since 1970-01-01T00:00:00Z a row, 0 where the entity was not found.
    """

    as_of: datetime
    values: Mapping[str, Any]
    statuses: Mapping[str, Sequence[int]]
    event_times_us: Mapping[str, Sequence[int]]

    def rows(self) -> list[dict[str, Any]]:
        """One mapping an entity, reference to Python value; None where there is no value."""
        there = {ValueStatus.VALUE_STATUS_PRESENT, ValueStatus.VALUE_STATUS_OUTSIDE_MAX_AGE}
        lists = {reference: list(column.tolist() if is_array(column) else column) for reference, column in self.values.items()}
        count = max(map(len, lists.values()), default=0)
        return [
            {reference: column[row] if self.statuses[reference][row] in there else None for reference, column in lists.items()}
            for row in range(count)
        ]


def online_features(answer: pb.GetOnlineFeaturesResponse) -> OnlineFeatures:
    values: dict[str, Any] = {}
    statuses: dict[str, Sequence[int]] = {}
    for group in answer.groups:
        rows = group.columns.rows
        for place, (name, column) in enumerate(columns_from(group.columns).items()):
            reference = name if ":" in name else f"{group.group}:{name}"
            values[reference] = column
            statuses[reference] = group.statuses[place * rows : (place + 1) * rows]
    return OnlineFeatures(
        as_of=answer.as_of.ToDatetime(tzinfo=UTC),
        values=values,
        statuses=statuses,
        event_times_us={group.group: list(group.event_times_us) for group in answer.groups},
    )
