"""Field selection: what of a run is answered beside its head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from synapsenet.errors import InvalidArgument
from synapsenet.experiments.model import Run

T = TypeVar("T")

_GROUPS = ("params", "metrics", "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """For each of params, metrics and tags the names that are wanted; None for all of them."""

    params: frozenset[str] | None = None
    metrics: frozenset[str] | None = None
    tags: frozenset[str] | None = None

    def of(self, run: Run) -> Run:
        """The run with what is wanted."""
        return replace(
            run,
            params=_kept(run.params, self.params),
            metrics=_kept(run.metrics, self.metrics),
            tags=_kept(run.tags, self.tags),
        )


def parse_fields(fields: Sequence[str]) -> Callable[[Run], Run]:
    """What leaves of a run what `fields` name, e.g. `params.learning_rate`, `metrics`; all of it, if they name nothing.

    Raises:
        InvalidArgument: FIELD_UNKNOWN, a field begins with none of params, metrics and tags.
    """
    if not fields:
        return lambda run: run
    wanted: dict[str, frozenset[str] | None] = dict.fromkeys(_GROUPS, frozenset())
    for field in fields:
        group, dot, name = field.partition(".")
        if group not in _GROUPS or bool(dot) != bool(name):
            raise InvalidArgument(
                "FIELD_UNKNOWN",
                f"fields: {field[:40]!r} is no field of a run",
                field="fields",
                remedy="name params, metrics or tags, or one of them like params.learning_rate",
            )
        known = wanted[group]
        wanted[group] = None if known is None or not name else known | {name}
    return Selection(**wanted).of


def _kept(named: Mapping[str, T], wanted: Iterable[str] | None) -> Mapping[str, T]:
    return named if wanted is None else {name: named[name] for name in wanted if name in named}
