"""The stored row: a header that orders writes and gives ages, then a group's values packed.

    header   event time, ingest time (int64 µs since 1970), sequence (uint64), schema version, flags (uint32)   32 bytes
    nulls    one byte a feature, 1 where it is null
    values   in the group's order, little-endian, a null as zeros; STRING and BYTES as the length of their bytes (uint32)
    tail     the bytes of STRING and BYTES values

A deleted entity's row is the header alone. Rows of a group without STRING and BYTES are all of one size, so that many of
them joined are one numpy array and become columns without an object a value.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synapsenet.features.columns import DTYPES, Column, Columns
from synapsenet.features.model import Feature, ValueType

DELETED = 1
BACKFILL = 2

HEADER = np.dtype(
    [("event_time", "<i8"), ("ingest_time", "<i8"), ("sequence", "<u8"), ("schema_version", "<u4"), ("flags", "<u4")]
)
HEADER_SIZE = HEADER.itemsize

_ORDER = struct.Struct("<qqQII")
_INGEST = struct.Struct("<q")
_INGEST_AT = 8


class Verdict(Enum):
    """What becomes of a row where another one stands."""

    APPLIED = "APPLIED"
    LATE = "LATE"
    DUPLICATE = "DUPLICATE"


def compare(incoming: bytes, stored: bytes | None) -> Verdict:
    """Whether `incoming` replaces `stored`: by event time, then sequence.

    Rows equal in both are the same write if their values are equal too; else `rank` decides, so that the outcome does not
    depend on the order of arrival.
    """
    if stored is None:
        return Verdict.APPLIED
    event, _, sequence, _, flags = _ORDER.unpack_from(incoming)
    stood_event, _, stood_sequence, _, stood_flags = _ORDER.unpack_from(stored)
    if (event, sequence) != (stood_event, stood_sequence):
        return Verdict.APPLIED if (event, sequence) > (stood_event, stood_sequence) else Verdict.LATE
    payload, stood_payload = incoming[HEADER_SIZE:], stored[HEADER_SIZE:]
    if payload == stood_payload and flags & DELETED == stood_flags & DELETED:
        return Verdict.DUPLICATE
    return Verdict.APPLIED if rank(incoming) > rank(stored) else Verdict.LATE


def rank(row: bytes) -> int:
    """Decides between rows of equal event time and sequence: a deletion wins, else the values' BLAKE2b hash; int64."""
    if len(row) == HEADER_SIZE:
        return (1 << 63) - 1
    return int.from_bytes(hashlib.blake2b(row[HEADER_SIZE:], digest_size=8).digest(), "little", signed=True)


def received(stored: bytes, incoming: bytes) -> bytes:
    """`stored` with the ingest time of the late or repeated row `incoming`, if that is newer."""
    (arrived,), (before,) = _INGEST.unpack_from(incoming, _INGEST_AT), _INGEST.unpack_from(stored, _INGEST_AT)
    if arrived <= before:
        return stored
    return stored[:_INGEST_AT] + _INGEST.pack(arrived) + stored[_INGEST_AT + _INGEST.size :]


def headers(rows: Sequence[bytes]) -> NDArray[Any]:
    """The headers of `rows`, dtype `HEADER`, shape (rows,)."""
    return np.frombuffer(b"".join([row[:HEADER_SIZE] for row in rows]), dtype=HEADER)


class RowLayout:
    """How the rows of one version of a group's features are packed."""

    def __init__(self, features: Sequence[Feature], schema_version: int) -> None:
        self.features = tuple(features)
        self.schema_version = schema_version
        self._types = tuple(feature.column for feature in self.features)
        self._index = {feature.name: index for index, feature in enumerate(self.features)}
        self._unsized = tuple(feature for feature in self.features if not feature.type.sized)
        self.dtype = np.dtype(
            [("_header", HEADER), ("_nulls", "u1", (len(self.features),)), *(_room(feature) for feature in self.features)]
        )
        blank: NDArray[Any] = np.zeros(1, dtype=self.dtype)
        blank["_nulls"] = 1
        self._blank = blank.tobytes()

    def pack(
        self, columns: Columns, *, event_times: NDArray[np.int64], sequences: NDArray[np.uint64], ingest_time: int, flags: int
    ) -> list[bytes]:
        """One row each; a feature without a column is null. Columns have the features' types.

        Args:
            event_times: int64 µs since 1970, shape (rows,).
            sequences: uint64, shape (rows,).
            ingest_time: µs since 1970, when the rows arrived.
            flags: 0 or BACKFILL.
        """
        table: NDArray[Any] = np.zeros(columns.rows, dtype=self.dtype)
        _fill(table["_header"], event_times, sequences, ingest_time, self.schema_version, flags)
        tails: list[list[bytes]] = []
        for index, feature in enumerate(self.features):
            column = columns.find(feature.name)
            if column is None:
                table["_nulls"][:, index] = 1
                if not feature.type.sized:
                    tails.append([b""] * columns.rows)
                continue
            mask = column.null_mask()
            table["_nulls"][:, index] = mask
            if feature.type.sized:
                table[feature.name] = column.values
                table[feature.name][mask] = 0  # equal rows must have equal bytes, whatever stood under a null
            else:
                tail = [b"" if null else _bytes(value) for value, null in zip(column.values, mask, strict=True)]
                table[feature.name] = [len(value) for value in tail]
                tails.append(tail)
        rows = _cut(table.tobytes(), self.dtype.itemsize)
        return [row + b"".join(tail) for row, *tail in zip(rows, *tails, strict=True)] if tails else rows

    def unpack(self, rows: Sequence[bytes | None], wanted: Sequence[str]) -> tuple[NDArray[Any], Columns]:
        """The headers (dtype HEADER, zeros where there is no row) and the features `wanted`, null where there is no value."""
        size, blank, values_blank = self.dtype.itemsize, self._blank, self._blank[HEADER_SIZE:]
        if self._unsized:
            pieces = [blank if row is None else row[:size] if len(row) >= size else row + values_blank for row in rows]
        else:
            pieces = [blank if row is None else row if len(row) == size else row + values_blank for row in rows]
        table = np.frombuffer(b"".join(pieces), dtype=self.dtype)
        nulls = table["_nulls"] != 0
        some = nulls.any(axis=0).tolist()
        columns = []
        for name in wanted:
            index = self._index[name]
            feature = self.features[index]
            values = table[name] if feature.type.sized else self._texts(feature, table, rows)
            columns.append(Column(self._types[index], values, nulls[:, index] if some[index] else None))
        return table["_header"], Columns(len(rows), tuple(columns))

    def _texts(self, feature: Feature, table: NDArray[Any], rows: Sequence[bytes | None]) -> NDArray[Any]:
        starts = np.full(len(rows), self.dtype.itemsize, dtype=np.int64)
        for before in self._unsized:
            if before.name == feature.name:
                break
            starts += table[before.name]
        ends = starts + table[feature.name]
        pieces = (b"" if row is None else row[start:end] for row, start, end in zip(rows, starts, ends, strict=True))
        values: NDArray[Any] = np.empty(len(rows), dtype=object)
        values[:] = [piece.decode("utf-8") if feature.type is ValueType.STRING else piece for piece in pieces]
        return values


def deletions(count: int, *, event_time: int, ingest_time: int, schema_version: int) -> list[bytes]:
    """Rows that delete `count` entities as of `event_time`; times in µs since 1970."""
    table: NDArray[Any] = np.zeros(count, dtype=HEADER)
    _fill(table, np.full(count, event_time), np.full(count, np.iinfo(np.uint64).max), ingest_time, schema_version, DELETED)
    return _cut(table.tobytes(), HEADER_SIZE)


def _fill(table: NDArray[Any], events: Any, sequences: Any, ingest_time: int, schema_version: int, flags: int) -> None:
    table["event_time"] = events
    table["ingest_time"] = ingest_time
    table["sequence"] = sequences
    table["schema_version"] = schema_version
    table["flags"] = flags


def _room(feature: Feature) -> tuple[str, Any] | tuple[str, Any, tuple[int]]:
    kind = DTYPES[feature.type] if feature.type.sized else np.dtype("<u4")
    return (feature.name, kind, (feature.vector_length,)) if feature.vector_length else (feature.name, kind)


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8") if isinstance(value, str) else value
