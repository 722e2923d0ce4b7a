"""Orders as SQL: each criterion as keys that are never NULL, what is missing last in either direction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, case, func, literal

from synapsenet.adapters.sql.experiments.conditions import attribute
from synapsenet.adapters.sql.experiments.tables import experiments, params, runs, series, tags
from synapsenet.adapters.sql.keyset import Key
from synapsenet.adapters.sql.tables import UtcDateTime
from synapsenet.experiments.filtering import Kind, Ordering, Subject

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FILLERS: dict[Kind, Any] = {
    Kind.NUMBER: 0,
    Kind.TEXT: "",
    Kind.STATE: "",
    Kind.TIME: literal(_EPOCH, UtcDateTime),
}


def ordered(ordering: Sequence[Ordering]) -> tuple[FromClause, list[Key]]:
    """Runs joined with what they are ordered by, and the keys; without an ordering the newest first."""
    source: FromClause = runs.join(experiments, experiments.c.id == runs.c.experiment_id)
    keys: list[Key] = []
    for number, criterion in enumerate(ordering):
        source, ranks, values = _joined(source, criterion, f"by_{number}")
        keys.append(Key(ranks))
        keys.extend(Key(value, criterion.descending) for value in values)
    if not ordering:
        keys.append(Key(runs.c.create_time, descending=True))
    return source, [*keys, Key(runs.c.id)]


def _joined(
    source: FromClause, criterion: Ordering, alias: str
) -> tuple[FromClause, ColumnElement[Any], list[ColumnElement[Any]]]:
    """The source with the criterion's table, what it orders first (by kind of value), and then."""
    field = criterion.field
    match field.subject:
        case Subject.PARAM:
            one = params.alias(alias)
            source = source.outerjoin(one, and_(one.c.run_id == runs.c.id, one.c.name == field.name))
            truth = case((one.c.number.is_(None), one.c.whole))
            rank = case((one.c.number.is_not(None), 0), (one.c.text.is_not(None), 1), (truth.is_not(None), 2), else_=3)
            return source, rank, [func.coalesce(one.c.number, 0.0), func.coalesce(one.c.text, ""), func.coalesce(truth, 0)]
        case Subject.METRIC:
            summary = series.alias(alias)
            source = source.outerjoin(summary, and_(summary.c.run_id == runs.c.id, summary.c.metric == field.name))
            value = summary.c[field.aggregate.value]
            rank = case((value.is_not(None), 0), (summary.c.id.is_not(None), 1), else_=2)
            return source, rank, [func.coalesce(value, 0.0)]
        case Subject.TAG:
            label = tags.alias(alias)
            source = source.outerjoin(label, and_(label.c.run_id == runs.c.id, label.c.name == field.name))
            return source, case((label.c.text.is_not(None), 0), else_=1), [func.coalesce(label.c.text, "")]
        case _:
            column = attribute(field)
            rank = case((column.is_not(None), 0), else_=1)
            return source, rank, [func.coalesce(column, _FILLERS[field.kind], type_=column.type)]
