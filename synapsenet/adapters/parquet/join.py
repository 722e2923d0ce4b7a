"""The point-in-time join in DuckDB.

For each group in two steps: first which row of the history each row of the spine gets, over the narrow columns alone; then
the values of those rows. So memory goes with the rows wanted and not with the width of the features. What is put into the
statements is quoted names, paths of ours and numbers, hence the exemptions from S608.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from synapsenet.adapters.parquet.tables import (
    DELETED,
    EVENT_TIME,
    INGEST_TIME,
    POSITION,
    RANK,
    SEQUENCE,
    arrow_array,
    arrow_type,
)
from synapsenet.features.model import ColumnType, Knowledge, ValueType
from synapsenet.features.ports import JoinedGroup, JoinQuery

_INSTANT = ColumnType(name="instant", type=ValueType.TIMESTAMP)
_ROWS_A_BATCH = 8_192
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class JoinResult:
    """For each feature of each group, rows without a value."""

    missing: tuple[int, ...]


def join_to_file(query: JoinQuery, files: Sequence[Sequence[Path]], path: Path, *, memory_mb: int, scratch: Path) -> JoinResult:
    """Carry `query` out over each group's `files` and write one Arrow IPC stream to `path`.

    Args:
        memory_mb: MiB that DuckDB may take before it spills to `scratch`.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mb}MiB",
        "temp_directory": str(scratch),
        "threads": 2,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(":memory:", config=config) as connection:
        connection.register("spine", _spine(query))
        for number, (group, own) in enumerate(zip(query.groups, files, strict=True)):
            if own:
                connection.execute(_picked(number, group, own, query))
        schema = _schema(query)
        rows = connection.sql(_joined(query, files)).to_arrow_reader(_ROWS_A_BATCH)
        missing = [0] * len(schema)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for batch in rows:
                writer.write_batch(batch.cast(schema))
                missing = [count + batch.column(index).null_count for index, count in enumerate(missing)]
    features = sum(len(group.features) for group in query.groups)
    return JoinResult(tuple(missing[-features:]))


def _spine(query: JoinQuery) -> pa.Table:
    arrays = {column.name: arrow_array(column) for column in query.spine.columns}
    return pa.table({**arrays, "_row": np.arange(query.spine.rows), "_instant": np.ascontiguousarray(query.instants)})


def _schema(query: JoinQuery) -> pa.Schema:
    columns = [*(column.type for column in query.spine.columns), _INSTANT]
    fields = [pa.field(column.name, arrow_type(column)) for column in columns]
    for group in query.groups:
        fields += [pa.field(f"{group.name}:{feature.name}", arrow_type(feature.column)) for feature in group.features]
    return pa.schema(fields)


def _picked(number: int, group: JoinedGroup, files: Sequence[Path], query: JoinQuery) -> str:
    """A table `picked_N(_row, _position)` of the rows of the history that the spine's rows get."""
    keys = [_quoted(key.name) for key in group.entity_keys]
    same = " AND ".join(f"s.{key} = h.{key}" for key in keys)
    known = f"WHERE {INGEST_TIME} <= {query.known_by}" if query.known_by is not None else ""
    narrow = ", ".join([*keys, POSITION, EVENT_TIME, INGEST_TIME, SEQUENCE, RANK, DELETED])
    history = f"SELECT {narrow} FROM {_scan(files)} {known}"  # noqa: S608
    newest = f"{EVENT_TIME} DESC, {SEQUENCE} DESC, {RANK} DESC, {POSITION}"
    if query.knowledge is Knowledge.AT_INSTANT:
        # ASOF takes one inequality; here there are two, event time and ingest time.
        found = f"""
            SELECT s._row, s._instant, h.* FROM spine s JOIN ({history}) h
            ON {same} AND h.{EVENT_TIME} <= s._instant AND h.{INGEST_TIME} <= s._instant
            QUALIFY row_number() OVER (PARTITION BY s._row ORDER BY {newest}) = 1"""  # noqa: S608
    else:
        single = f"{history} QUALIFY row_number() OVER (PARTITION BY {', '.join(keys)}, {EVENT_TIME} ORDER BY {newest}) = 1"
        found = f"SELECT s._row, s._instant, h.* FROM spine s ASOF JOIN ({single}) h ON {same} AND s._instant >= h.{EVENT_TIME}"  # noqa: S608
    young = f"AND _instant - {EVENT_TIME} <= {query.max_age // _MICROSECOND}" if query.max_age is not None else ""
    return f"""
        CREATE TEMP TABLE picked_{number} AS
        SELECT _row, {POSITION} FROM ({found}) WHERE NOT {DELETED} {young}"""  # noqa: S608


def _joined(query: JoinQuery, files: Sequence[Sequence[Path]]) -> str:
    """The spine's columns, the instant, then each group's features, in the spine's order."""
    wanted = [f"s.{_quoted(column.name)}" for column in query.spine.columns]
    wanted.append("make_timestamp(s._instant) AS instant")
    sources = "spine s"
    for number, (group, own) in enumerate(zip(query.groups, files, strict=True)):
        names = [_quoted(feature.name) for feature in group.features]
        for feature, name in zip(group.features, names, strict=True):
            value = f"v{number}.{name}" if own else "NULL"
            wanted.append(f"CAST({value} AS {_sql_type(feature.column)}) AS {_quoted(f'{group.name}:{feature.name}')}")
        if own:
            values = ", ".join(f"h.{name}" for name in names)
            sources += f"""
                LEFT JOIN (
                    SELECT p._row, {values} FROM picked_{number} p JOIN {_scan(own)} h
                    ON h.{POSITION} = p.{POSITION}
                ) v{number} ON v{number}._row = s._row"""  # noqa: S608
    return f"SELECT {', '.join(wanted)} FROM {sources} ORDER BY s._row"  # noqa: S608


def _scan(files: Sequence[Path]) -> str:
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    return f"read_parquet([{names}])"


_SQL_TYPES = {
    ValueType.BOOL: "BOOLEAN",
    ValueType.INT32: "INTEGER",
    ValueType.INT64: "BIGINT",
    ValueType.FLOAT: "FLOAT",
    ValueType.DOUBLE: "DOUBLE",
    ValueType.STRING: "VARCHAR",
    ValueType.BYTES: "BLOB",
    ValueType.TIMESTAMP: "TIMESTAMP",
}


def _sql_type(column: ColumnType) -> str:
    scalar = _SQL_TYPES[column.type]
    return f"{scalar}[{column.vector_length}]" if column.vector_length else scalar


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
