"""Filters as SQL. Every value is a bound parameter; every comparison is two-valued, so that NOT means what `filtering` says."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func, not_, or_, select
from sqlalchemy.sql import operators

from synapsenet.adapters.sql.experiments.tables import experiments, params, runs, series, tags
from synapsenet.experiments.filtering import (
    Aggregate,
    And,
    Comparator,
    Compare,
    Contains,
    Field,
    Filter,
    Not,
    Or,
    Present,
    Subject,
    Value,
)

_OPERATORS = {
    Comparator.EQUAL: operators.eq,
    Comparator.UNEQUAL: operators.ne,
    Comparator.LESS: operators.lt,
    Comparator.AT_MOST: operators.le,
    Comparator.MORE: operators.gt,
    Comparator.AT_LEAST: operators.ge,
}
SUMMARIES = {Aggregate.LAST: series.c.last, Aggregate.MIN: series.c.min, Aggregate.MAX: series.c.max}


def condition(filter: Filter) -> ColumnElement[bool]:
    """What `filter` means for a row of `runs` joined with its experiment; never NULL."""
    match filter:
        case And(operands):
            return and_(*map(condition, operands))
        case Or(operands):
            return or_(*map(condition, operands))
        case Not(operand):
            return not_(condition(operand))
        case Present(field):
            return _present(field)
        case Contains(field, text):
            column = params.c.text if field.subject is Subject.PARAM else _column(field)
            # LIKE ignores case on some databases and has wildcards; what has lost `text` had it.
            lost = func.replace(column, text, "") != column if text else column.is_not(None)
            return _holds(field, lost)
        case Compare(field, comparator, value):
            column, bound = _sides(field, value)
            return _holds(field, column.operate(_OPERATORS[comparator], bound))


def attribute(field: Field) -> ColumnElement[Any]:
    """The column of a run's or experiment's own attribute."""
    return (runs if field.subject is Subject.RUN else experiments).c[field.name]


def _column(field: Field) -> ColumnElement[Any]:
    match field.subject:
        case Subject.METRIC:
            return SUMMARIES[field.aggregate]
        case Subject.TAG:
            return tags.c.text
        case _:
            return attribute(field)


def _sides(field: Field, value: Value) -> tuple[ColumnElement[Any], Any]:
    """The column that values of this type stand in, and the value as it stands there."""
    if field.subject is not Subject.PARAM:
        return _column(field), value
    if isinstance(value, str):
        return params.c.text, value
    if isinstance(value, bool):
        return case((params.c.number.is_(None), params.c.whole)), int(value)
    return params.c.number, float(value) if isinstance(value, int) else value


def _holds(field: Field, comparison: ColumnElement[bool]) -> ColumnElement[bool]:
    """`comparison` for the run's own `field`; false where it lacks it."""
    match field.subject:
        case Subject.PARAM:
            return runs.c.id.in_(select(params.c.run_id).where(params.c.name == field.name, comparison))
        case Subject.TAG:
            return runs.c.id.in_(select(tags.c.run_id).where(tags.c.name == field.name, comparison))
        case Subject.METRIC:
            return runs.c.id.in_(select(series.c.run_id).where(series.c.metric == field.name, comparison))
        case _:
            return func.coalesce(comparison, false())


def _present(field: Field) -> ColumnElement[bool]:
    match field.subject:
        case Subject.PARAM:
            return runs.c.id.in_(select(params.c.run_id).where(params.c.name == field.name))
        case Subject.TAG:
            return runs.c.id.in_(select(tags.c.run_id).where(tags.c.name == field.name))
        case Subject.METRIC if field.aggregate is Aggregate.LAST:
            return runs.c.id.in_(select(series.c.run_id).where(series.c.metric == field.name))
        case Subject.METRIC:
            return _holds(field, SUMMARIES[field.aggregate].is_not(None))
        case _:
            return attribute(field).is_not(None)
