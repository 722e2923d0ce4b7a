"""Packed columns on the wire, and back; see `Columns` in the contract for the layout."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import InvalidArgument
from synapsenet.features.columns import DTYPES, Column, Columns
from synapsenet.features.model import LONGEST_VECTOR, ColumnType, ValueType
from synapsenet_api.features.v1 import value_pb2 as pb
from synapsenet_servers.translate.enums import Wire

TYPES = Wire(ValueType, pb.ValueType, "VALUE_TYPE_")

_LENGTH = np.dtype("<u4")


@lru_cache(maxsize=10_000)  # every answer has its columns' types; protobuf copies them when it takes them in
def column_type(kind: ColumnType) -> pb.ColumnType:
    return pb.ColumnType(name=kind.name, type=TYPES[kind.type], vector_length=kind.vector_length)


def from_column_type(wire: pb.ColumnType, *, field: str) -> ColumnType:
    kind = TYPES.member(wire.type, field=f"{field}.type")
    if not 0 <= wire.vector_length <= (LONGEST_VECTOR if kind.sized else 0):
        raise InvalidArgument("VECTOR_LENGTH", f"column {wire.name} has no such length", field=f"{field}.vector_length")
    return ColumnType(name=wire.name, type=kind, vector_length=wire.vector_length)


def columns(found: Columns) -> pb.Columns:
    """`found` packed."""
    nulls = (
        [column.null_mask() for column in found.columns] if any(column.nulls is not None for column in found.columns) else []
    )
    return pb.Columns(
        columns=[column_type(column.type) for column in found.columns],
        rows=found.rows,
        nulls=b"".join([mask.tobytes() for mask in nulls]),
        data=b"".join([_buffer(column) for column in found.columns]),
    )


def _buffer(column: Column) -> bytes:
    if column.type.type.sized:
        return column.values.tobytes()
    pieces = [value.encode("utf-8") if isinstance(value, str) else value for value in column.values]
    return np.array([len(piece) for piece in pieces], dtype=_LENGTH).tobytes() + b"".join(pieces)


def from_columns(wire: pb.Columns, *, field: str) -> Columns:
    """The columns packed in `wire`; numbers stay in its buffer.

    Raises:
        InvalidArgument: COLUMNS_LENGTH, TEXT_NOT_UTF8, VALUE_UNKNOWN, VECTOR_LENGTH, or COLUMN_TWICE.
    """
    types = [from_column_type(each, field=f"{field}.columns") for each in wire.columns]
    rows, data = wire.rows, wire.data
    if rows < 0 or len(wire.nulls) not in (0, rows * len(types)):
        raise _length(f"{field}.nulls", rows * len(types), len(wire.nulls))
    nulls = np.frombuffer(wire.nulls, dtype=np.uint8).reshape(len(types), rows).astype(bool) if wire.nulls else None
    found, at = [], 0
    for index, kind in enumerate(types):
        values, at = (_numbers if kind.type.sized else _texts)(kind, data, at, rows, field)
        found.append(Column(kind, values, None if nulls is None or not nulls[index].any() else nulls[index]))
    if at != len(data):
        raise _length(f"{field}.data", at, len(data))
    return Columns(rows, tuple(found))


def _numbers(kind: ColumnType, data: bytes, at: int, rows: int, field: str) -> tuple[NDArray[Any], int]:
    dtype, count = DTYPES[kind.type], rows * (kind.vector_length or 1)
    end = at + count * dtype.itemsize
    if end > len(data):
        raise _length(f"{field}.data", end, len(data))
    if kind.type is ValueType.BOOL:
        values: NDArray[Any] = np.frombuffer(data, dtype=np.uint8, count=count, offset=at) != 0
    else:
        values = np.frombuffer(data, dtype=dtype, count=count, offset=at)
    return (values.reshape(rows, kind.vector_length) if kind.vector_length else values), end


def _texts(kind: ColumnType, data: bytes, at: int, rows: int, field: str) -> tuple[NDArray[Any], int]:
    start = at + rows * _LENGTH.itemsize
    if start > len(data):
        raise _length(f"{field}.data", start, len(data))
    ends = start + np.cumsum(np.frombuffer(data, dtype=_LENGTH, count=rows, offset=at), dtype=np.int64)
    end = int(ends[-1]) if rows else start
    if end > len(data):
        raise _length(f"{field}.data", end, len(data))
    starts = np.concatenate(([start], ends[:-1])).tolist() if rows else []
    values: NDArray[Any] = np.empty(rows, dtype=object)
    values[:] = list(_pieces(kind, data, zip(starts, ends.tolist(), strict=True), field))
    return values, end


def _pieces(kind: ColumnType, data: bytes, spans: Iterable[tuple[int, int]], field: str) -> Iterable[str | bytes]:
    for start, end in spans:
        piece = data[start:end]
        if kind.type is ValueType.BYTES:
            yield piece
            continue
        try:
            yield piece.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidArgument(
                "TEXT_NOT_UTF8", f"column {kind.name} is not UTF-8", field=f"{field}.data", remedy="send it as BYTES"
            ) from error


def _length(field: str, wanted: int, given: int) -> InvalidArgument:
    return InvalidArgument(
        "COLUMNS_LENGTH",
        f"{field} has {given} bytes where columns and rows say {wanted}",
        field=field,
        remedy="pack every column for all rows, one after another",
    )
