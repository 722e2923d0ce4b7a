"""Columns of the domain as Arrow, and the columns that the history has beside a group's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from synapsenet.features.columns import Column
from synapsenet.features.model import ColumnType, ValueType
from synapsenet.features.ports import HistoryBatch

# Names of keys and features begin with a letter.
POSITION, EVENT_TIME, INGEST_TIME = "_position", "_event_time", "_ingest_time"
SEQUENCE, RANK, DELETED = "_sequence", "_rank", "_deleted"

_SCALARS: dict[ValueType, pa.DataType] = {
    ValueType.BOOL: pa.bool_(),
    ValueType.INT32: pa.int32(),
    ValueType.INT64: pa.int64(),
    ValueType.FLOAT: pa.float32(),
    ValueType.DOUBLE: pa.float64(),
    ValueType.STRING: pa.string(),
    ValueType.BYTES: pa.binary(),
    ValueType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
}


def arrow_type(column: ColumnType) -> pa.DataType:
    """The Arrow type of a column; vectors are fixed_size_list."""
    scalar = _SCALARS[column.type]
    return pa.list_(scalar, column.vector_length) if column.vector_length else scalar


def arrow_array(column: Column) -> pa.Array:
    """The column's values with its nulls; TIMESTAMP without a zone, which DuckDB would want an extension for."""
    kind = pa.timestamp("us") if column.type.type is ValueType.TIMESTAMP else arrow_type(column.type)
    if column.type.vector_length:
        mask = None if column.nulls is None else pa.array(column.nulls)
        flat = pa.array(np.ascontiguousarray(column.values).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=mask)
    values: Any = np.ascontiguousarray(column.values) if column.type.type.sized else list(column.values)
    if column.type.type is ValueType.TIMESTAMP:
        return pa.array(values, type=pa.int64(), mask=column.nulls).cast(kind)
    return pa.array(values, type=kind, mask=column.nulls)


def history_table(batch: HistoryBatch) -> pa.Table:
    """`batch` as a file of the history has it: entity keys, features, then what orders the rows."""
    columns = [*batch.keys.columns, *batch.values.columns]
    arrays = {column.name: arrow_array(column) for column in columns}
    arrays[POSITION] = pa.array(batch.positions)
    arrays[EVENT_TIME] = pa.array(np.ascontiguousarray(batch.event_times))
    arrays[INGEST_TIME] = pa.array(np.ascontiguousarray(batch.ingest_times))
    arrays[SEQUENCE] = pa.array(np.ascontiguousarray(batch.sequences))
    arrays[RANK] = pa.array(batch.ranks)
    arrays[DELETED] = pa.array(batch.deleted)
    return pa.table(arrays)
