"""Metric series: points in columns, and what is known of them without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import InvalidArgument
from synapsenet.experiments.model import MetricSummary, check_name

Int64s: TypeAlias = NDArray[np.int64]
Float64s: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Points of one metric of one run.

    Attributes:
        steps: int64 [n], at least 0.
        values: float64 [n], non-finite ones allowed.
        times_us: int64 [n], microseconds since 1970 in UTC.
    """

    metric: str
    steps: Int64s
    values: Float64s
    times_us: Int64s

    def __post_init__(self) -> None:
        check_name(self.metric, "points.metric")
        if not len(self.steps) == len(self.values) == len(self.times_us):
            raise InvalidArgument(
                "COLUMNS_UNEQUAL",
                f"{self.metric} has {len(self.steps)} steps, {len(self.values)} values and {len(self.times_us)} times",
                field="points",
                remedy="give one step and one value a point, and one time a point or none at all",
            )
        if len(self.steps) and int(self.steps.min()) < 0:
            raise InvalidArgument("STEP_NEGATIVE", field="points.steps", remedy="count steps from 0")

    def __len__(self) -> int:
        return len(self.steps)

    def ordered(self) -> Points:
        """By step, each step once: the first of those that repeat it."""
        _, first = np.unique(self.steps, return_index=True)
        return self.at(first)

    def without(self, steps: Int64s) -> Points:
        """Those whose step is not among `steps`."""
        return self.at(np.flatnonzero(~np.isin(self.steps, steps)))

    def at(self, index: NDArray[np.intp]) -> Points:
        return Points(metric=self.metric, steps=self.steps[index], values=self.values[index], times_us=self.times_us[index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What became of points: `stored` are new, `repeated` had a value at their step already."""

    stored: int = 0
    repeated: int = 0

    def __add__(self, other: Logged) -> Logged:
        return Logged(stored=self.stored + other.stored, repeated=self.repeated + other.repeated)


def summarize(points: Points) -> MetricSummary:
    """The summary of `points`: ordered, each step once, not empty."""
    finite = np.flatnonzero(np.isfinite(points.values))
    lowest = finite[np.argmin(points.values[finite])] if len(finite) else None
    highest = finite[np.argmax(points.values[finite])] if len(finite) else None
    return MetricSummary(
        count=len(points),
        nan_count=int(np.isnan(points.values).sum()),
        infinite_count=int(np.isinf(points.values).sum()),
        first_step=int(points.steps[0]),
        last_step=int(points.steps[-1]),
        last=float(points.values[-1]),
        min=None if lowest is None else float(points.values[lowest]),
        min_step=None if lowest is None else int(points.steps[lowest]),
        max=None if highest is None else float(points.values[highest]),
        max_step=None if highest is None else int(points.steps[highest]),
    )


def merge(one: MetricSummary, other: MetricSummary) -> MetricSummary:
    """The summary of two sets of points without a common step."""
    later = one if one.last_step > other.last_step else other
    low, low_step = _extreme([(one.min, one.min_step), (other.min, other.min_step)], sign=1)
    high, high_step = _extreme([(one.max, one.max_step), (other.max, other.max_step)], sign=-1)
    return MetricSummary(
        count=one.count + other.count,
        nan_count=one.nan_count + other.nan_count,
        infinite_count=one.infinite_count + other.infinite_count,
        first_step=min(one.first_step, other.first_step),
        last_step=later.last_step,
        last=later.last,
        min=low,
        min_step=low_step,
        max=high,
        max_step=high_step,
    )


def _extreme(candidates: list[tuple[float | None, int | None]], *, sign: int) -> tuple[float | None, int | None]:
    known = [(sign * value, step) for value, step in candidates if value is not None and step is not None]
    if not known:
        return None, None
    value, step = min(known)
    return sign * value, step
