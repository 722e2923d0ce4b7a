"""Writes, reads and spines on the wire, packed or as rows for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from google.protobuf.struct_pb2 import Struct

from synapsenet.clock import instant
from synapsenet.errors import InvalidArgument
from synapsenet.features.columns import Columns
from synapsenet.features.ingest import FeatureWrite, WriteSummary
from synapsenet.features.model import ColumnType, FeatureGroup, Knowledge, ValueType
from synapsenet.features.serving import GroupAnswer, ValueStatus
from synapsenet.features.training_sets import INSTANT, TrainingSetWish
from synapsenet_api.features.v1 import feature_service_pb2 as pb
from synapsenet_servers.translate.columns import columns, from_columns
from synapsenet_servers.translate.features import KNOWLEDGE, optional_span
from synapsenet_servers.translate.rows import from_rows, instants_of, to_json, value_of
from synapsenet_servers.translate.times import from_timestamp, to_timestamp

_EVENT_TIME = "event_time"
_SEQUENCE = "sequence"
_WHOLE = ColumnType(name=_SEQUENCE, type=ValueType.INT64)


def write(batch: pb.WriteBatch, group: Callable[..., FeatureGroup]) -> FeatureWrite:
    """The rows of `batch`; those for people are read by the types of the group that `group` finds.

    Raises:
        InvalidArgument: BOTH_FORMS, SEQUENCE_MISSING, or what is wrong with columns or rows.
    """
    if not _as_rows(batch, "columns", "rows", field="batch"):
        return FeatureWrite(
            group=batch.group,
            columns=from_columns(batch.columns, field="batch.columns"),
            event_times=np.array(batch.event_times_us, dtype=np.int64),
            sequences=np.array(batch.sequences, dtype=np.uint64),
            backfill=batch.backfill,
        )
    schema = group(batch.group, field="batch.group")
    types = [key.column for key in schema.entity_keys] + [feature.column for feature in schema.features]
    return FeatureWrite(
        group=batch.group,
        columns=from_rows(batch.rows, types, field="batch.rows", besides=(_EVENT_TIME, _SEQUENCE)),
        event_times=_all_or_none(instants_of(batch.rows, _EVENT_TIME, field="batch.rows"), _EVENT_TIME, np.int64),
        sequences=_all_or_none(_sequences(batch.rows), _SEQUENCE, np.uint64),
        backfill=batch.backfill,
    )


def _sequences(rows: Sequence[Struct]) -> list[int | None]:
    return [
        value_of(_WHOLE, row[_SEQUENCE], field=f"batch.rows[{index}]") if _SEQUENCE in row else None
        for index, row in enumerate(rows)
    ]


def _all_or_none(values: Sequence[int | None], name: str, dtype: type[Any]) -> Any:
    given = [value for value in values if value is not None]
    bounds = np.iinfo(dtype)
    if given and (len(given) < len(values) or min(given) < bounds.min or max(given) > bounds.max):
        raise InvalidArgument(
            "ROWS_UNEVEN",
            f"some rows have no {name}, or one out of range",
            field=f"batch.rows.{name}",
            remedy="give each row one, or none",
        )
    return np.array(given, dtype=dtype)


def summary(found: WriteSummary) -> pb.WriteSummary:
    return pb.WriteSummary(
        rows=found.rows, applied=found.applied, late=found.late, duplicates=found.duplicates, position=found.position
    )


def entities(message: Any, types: Callable[[], Sequence[ColumnType]]) -> Columns:
    """The entities that a read or a deletion names; those for people are read by `types`.

    Raises:
        InvalidArgument: BOTH_FORMS, or what is wrong with columns or rows.
    """
    if _as_rows(message, "entities", "rows", field=""):
        return from_rows(message.rows, types(), field="rows")
    return from_columns(message.entities, field="entities")


def training_set_wish(
    request: pb.BuildTrainingSetRequest, types: Callable[[Sequence[str]], Sequence[ColumnType]]
) -> TrainingSetWish:
    """The training set that is asked for; a spine for people is read by the `types` of what is referenced."""
    spine = request.spine
    if _as_rows(spine, "columns", "rows", field="spine"):
        rows = from_rows(spine.rows, types(request.features), field="spine.rows", besides=(INSTANT,))
        instants = _all_or_none(instants_of(spine.rows, INSTANT, field="spine.rows"), INSTANT, np.int64)
    else:
        rows, instants = from_columns(spine.columns, field="spine.columns"), np.array(spine.instants_us, dtype=np.int64)
    return TrainingSetWish(
        name=request.name,
        spine=rows,
        instants=instants,
        features=tuple(request.features),
        max_age=optional_span(request, "max_age", field="max_age"),
        knowledge=KNOWLEDGE.member(request.knowledge, field="knowledge") if request.knowledge else Knowledge.LATEST,
        known_by=from_timestamp(request.known_by, field="known_by") if request.HasField("known_by") else None,
    )


def _as_rows(message: Any, packed: str, rows: str, *, field: str) -> bool:
    """Whether `message` has its values as rows; by default, they are packed."""
    prefix = f"{field}." if field else ""
    if message.HasField(packed) and len(getattr(message, rows)):
        raise InvalidArgument(
            "BOTH_FORMS",
            f"there are both {prefix}{packed} and {prefix}{rows}",
            field=f"{prefix}{rows}",
            remedy="give one of them",
        )
    return len(getattr(message, rows)) > 0


def packed_answer(group: GroupAnswer) -> pb.GroupValues:
    return pb.GroupValues(
        group=group.group,
        schema_version=group.schema_version,
        event_times_us=group.event_times.tolist(),
        statuses=group.statuses.tobytes(),
        columns=columns(group.values),
    )


def row_answers(groups: Sequence[GroupAnswer], entities: int) -> list[pb.EntityValues]:
    """One object an entity."""
    return [_row_answer(groups, index) for index in range(entities)]


def _row_answer(groups: Sequence[GroupAnswer], index: int) -> pb.EntityValues:
    row = pb.EntityValues()
    for group in groups:
        for statuses, column in zip(group.statuses, group.values.columns, strict=True):
            reference = f"{group.group}:{column.name}"
            status = int(statuses[index])
            there = status in (ValueStatus.PRESENT, ValueStatus.OUTSIDE_MAX_AGE)
            row.values.update({reference: to_json(column.type, column.values[index]) if there else None})
            row.statuses[reference] = status  # type: ignore[assignment]  # the same numbers, as the contract says
        if group.event_times[index]:
            row.event_times[group.group].CopyFrom(to_timestamp(instant(int(group.event_times[index]))))
    return row
