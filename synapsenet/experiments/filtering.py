"""Filters and orderings of runs: what they can name, their typed form, and what they mean.

The meaning is two-valued: a comparison with something that a run lacks does not hold, also with !=, and NOT turns that
round. Numbers compare with numbers only, texts (by code point) with texts only; non-finite metrics compare with nothing.
`matches` is that meaning in plain Python; adapters push the same meaning down into their store.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeAlias

from synapsenet.experiments.model import Experiment, MetricSummary, Parameter, Run, RunState


class Subject(Enum):
    """Of what a field is."""

    PARAM = "params"
    METRIC = "metrics"
    TAG = "tags"
    RUN = "run"
    EXPERIMENT = "experiment"


class Aggregate(Enum):
    """Which value of a metric is meant."""

    LAST = "last"
    MIN = "min"
    MAX = "max"


class Kind(Enum):
    """What a field holds; PARAM and only PARAM fields are of ANY."""

    ANY = "a number, a text, true or false"
    NUMBER = "a number"
    TEXT = "a text"
    STATE = "one of running, finished, failed, cancelled"
    TIME = 'an RFC 3339 time such as "2026-01-01T12:00:00Z"'


ATTRIBUTES: Mapping[Subject, Mapping[str, Kind]] = {
    Subject.RUN: {
        "id": Kind.TEXT,
        "name": Kind.TEXT,
        "state": Kind.STATE,
        "seed": Kind.NUMBER,
        "configuration_id": Kind.TEXT,
        "create_time": Kind.TIME,
        "end_time": Kind.TIME,
    },
    Subject.EXPERIMENT: {"id": Kind.TEXT, "name": Kind.TEXT, "project": Kind.TEXT},
}

Value: TypeAlias = Parameter | datetime


class Comparator(Enum):
    """How two values are compared."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="

    @property
    def orders(self) -> bool:
        return self not in (Comparator.EQUAL, Comparator.UNEQUAL)


COMPARE: Mapping[Comparator, Callable[[Any, Any], bool]] = {
    Comparator.EQUAL: operator.eq,
    Comparator.UNEQUAL: operator.ne,
    Comparator.LESS: operator.lt,
    Comparator.AT_MOST: operator.le,
    Comparator.MORE: operator.gt,
    Comparator.AT_LEAST: operator.ge,
}


@dataclass(frozen=True, slots=True)
class Field:
    """Something of a run that can be compared or ordered by."""

    subject: Subject
    name: str
    aggregate: Aggregate = Aggregate.LAST

    @property
    def kind(self) -> Kind:
        match self.subject:
            case Subject.PARAM:
                return Kind.ANY
            case Subject.METRIC:
                return Kind.NUMBER
            case Subject.TAG:
                return Kind.TEXT
            case _:
                return ATTRIBUTES[self.subject][self.name]


@dataclass(frozen=True, slots=True)
class Compare:
    """`field comparator value`; the value's type suits the field's kind."""

    field: Field
    comparator: Comparator
    value: Value


@dataclass(frozen=True, slots=True)
class Contains:
    """`field:"text"`: the field's text contains `text`, letter for letter."""

    field: Field
    text: str


@dataclass(frozen=True, slots=True)
class Present:
    """`field:*`: the run has it."""

    field: Field


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    operand: Filter


Filter: TypeAlias = Compare | Contains | Present | And | Or | Not


@dataclass(frozen=True, slots=True)
class Ordering:
    """One criterion of an order; numbers come before texts, and runs that lack the field last, either way."""

    field: Field
    descending: bool = False


def matches(filter: Filter, run: Run, experiment: Experiment) -> bool:
    """What `filter` means for `run` of `experiment`."""
    match filter:
        case And(operands):
            return all(matches(operand, run, experiment) for operand in operands)
        case Or(operands):
            return any(matches(operand, run, experiment) for operand in operands)
        case Not(operand):
            return not matches(operand, run, experiment)
        case Present(field):
            return value_of(field, run, experiment) is not None
        case Contains(field, text):
            value = value_of(field, run, experiment)
            return isinstance(value, str) and text in value
        case Compare(field, comparator, wanted):
            value = value_of(field, run, experiment)
            return value is not None and _comparable(value, wanted) and COMPARE[comparator](value, wanted)


def value_of(field: Field, run: Run, experiment: Experiment) -> Value | None:
    """The run's value of `field`; None if it lacks it."""
    match field.subject:
        case Subject.PARAM:
            return run.params.get(field.name)
        case Subject.TAG:
            return run.tags.get(field.name)
        case Subject.METRIC:
            summary = run.metrics.get(field.name)
            return None if summary is None else _aggregated(summary, field.aggregate)
        case _:
            value: Value | RunState | None = getattr(run if field.subject is Subject.RUN else experiment, field.name)
            return value.value if isinstance(value, RunState) else value


def _aggregated(summary: MetricSummary, aggregate: Aggregate) -> float | None:
    return {Aggregate.LAST: summary.last, Aggregate.MIN: summary.min, Aggregate.MAX: summary.max}[aggregate]


def _comparable(value: Value, wanted: Value) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return isinstance(value, bool) and isinstance(wanted, bool)
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return any(isinstance(value, kind) and isinstance(wanted, kind) for kind in (int | float, str, datetime))


def as_time(text: str) -> datetime | None:
    """The instant that an RFC 3339 text names; None if it names none."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if instant.tzinfo is None else instant.astimezone(UTC)
