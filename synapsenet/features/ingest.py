"""Ingest: columns that a caller sent become rows that the online store takes, or a refusal that names what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from synapsenet.clock import micros
from synapsenet.errors import InvalidArgument
from synapsenet.features.catalogue import Entry
from synapsenet.features.columns import Columns, check_type
from synapsenet.features.instants import check_instants
from synapsenet.features.keys import encode_keys
from synapsenet.features.options import FeaturesOptions
from synapsenet.features.ports import RowBatch, WriteCounts
from synapsenet.features.rows import BACKFILL, deletions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureWrite:
    """Rows of one group, as a caller sent them.

    Attributes:
        columns: entity keys, and features by name; a feature without a column is null.
        event_times: int64 µs since 1970, one a row, or one for all; empty means the instant of arrival.
        sequences: uint64, one a row; empty means 0.
        backfill: the rows are history that is loaded late.
    """

    group: str
    columns: Columns
    event_times: NDArray[np.int64]
    sequences: NDArray[np.uint64]
    backfill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSummary:
    """What became of rows; `position` is the change log's, up to which all that was acknowledged is on disk."""

    rows: int = 0
    applied: int = 0
    late: int = 0
    duplicates: int = 0
    position: int = 0

    def plus(self, counts: WriteCounts) -> WriteSummary:
        return WriteSummary(
            rows=self.rows + counts.applied + counts.late + counts.duplicates,
            applied=self.applied + counts.applied,
            late=self.late + counts.late,
            duplicates=self.duplicates + counts.duplicates,
            position=max(self.position, counts.position),
        )


def row_batch(entry: Entry, write: FeatureWrite, *, now: datetime, options: FeaturesOptions) -> RowBatch:
    """The rows of `write`, arriving `now`.

    Raises:
        InvalidArgument: BATCH_TOO_LARGE, COLUMN_MISSING, COLUMN_TYPE, COLUMN_UNKNOWN, ENTITY_KEY_NULL, ENTITY_KEY_TOO_LONG,
            EVENT_TIMES_COUNT, SEQUENCES_COUNT, EVENT_TIME_IN_FUTURE, or INSTANT_OUT_OF_RANGE.
    """
    rows = write.columns.rows
    _check_rows(rows, options, field="batch.columns.rows")
    _check_columns(entry, write.columns)
    events = write.event_times if len(write.event_times) else np.array([micros(now)])
    events = _spread(events, rows, field="batch.event_times_us")
    if len(write.sequences) not in (0, rows):
        raise InvalidArgument("SEQUENCES_COUNT", field="batch.sequences", remedy="give one a row, or none")
    _check_not_ahead(entry, events, now, options)
    return RowBatch(
        group_id=entry.group.id,
        keys=encode_keys(entry.group.entity_keys, write.columns, field="batch.columns"),
        rows=entry.layout.pack(
            write.columns,
            event_times=events,
            sequences=write.sequences if len(write.sequences) else np.zeros(rows, dtype=np.uint64),
            ingest_time=micros(now),
            flags=BACKFILL if write.backfill else 0,
        ),
    )


def deletion_batch(
    entry: Entry, entities: Columns, at: datetime | None, *, now: datetime, options: FeaturesOptions
) -> RowBatch:
    """Rows that delete `entities` as of `at`, by default now.

    Raises:
        InvalidArgument: as `row_batch`.
    """
    _check_rows(entities.rows, options, field="entities")
    event = micros(at or now)
    _check_not_ahead(entry, np.array([event]), now, options)
    keys = encode_keys(entry.group.entity_keys, entities, field="entities")
    rows = deletions(len(keys), event_time=event, ingest_time=micros(now), schema_version=entry.group.schema_version)
    return RowBatch(group_id=entry.group.id, keys=keys, rows=rows)


def _check_rows(rows: int, options: FeaturesOptions, *, field: str) -> None:
    if rows > options.rows_per_batch:
        raise InvalidArgument(
            "BATCH_TOO_LARGE", f"a batch has {rows} rows", field=field, remedy=f"send up to {options.rows_per_batch} at a time"
        )


def _check_columns(entry: Entry, columns: Columns) -> None:
    features = {feature.name: feature.column for feature in entry.group.features}
    keys = {key.name for key in entry.group.entity_keys}
    for column in columns.columns:
        if column.name in keys:
            continue
        if (wanted := features.get(column.name)) is None:
            raise InvalidArgument(
                "COLUMN_UNKNOWN",
                f"group {entry.group.name} has no {column.name}",
                field="batch.columns",
                remedy="send entity keys and features of the group only",
            )
        check_type(column.type, wanted, field="batch.columns")


def _spread(instants: NDArray[np.int64], rows: int, *, field: str) -> NDArray[np.int64]:
    if len(instants) == rows:
        return instants
    if len(instants) == 1:
        return np.full(rows, instants[0])
    raise InvalidArgument(
        "EVENT_TIMES_COUNT", f"{len(instants)} instants for {rows} rows", field=field, remedy="give one a row, or one for all"
    )


def _check_not_ahead(entry: Entry, events: NDArray[np.int64], now: datetime, options: FeaturesOptions) -> None:
    skew = timedelta(seconds=options.future_skew_s)
    if entry.group.sla is not None and entry.group.sla.max_future_skew is not None:
        skew = entry.group.sla.max_future_skew
    check_instants(events, field="batch.event_times_us")
    ahead = int(events.max(initial=micros(now))) - micros(now)
    if ahead > skew // timedelta(microseconds=1):
        raise InvalidArgument(
            "EVENT_TIME_IN_FUTURE",
            f"the event time of row {int(events.argmax())} is {ahead / 1e6:.3f} s ahead of our clock",
            field="batch.event_times_us",
            remedy=f"send event times at most {skew.total_seconds():g} s ahead, or raise the group's sla.max_future_skew",
        )
