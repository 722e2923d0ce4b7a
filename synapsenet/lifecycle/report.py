"""Validation: thresholds, and what was measured."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from synapsenet.errors import InvalidArgument


class Comparator(StrEnum):
    """How a threshold compares the metric with its value."""

    LESS = "<"
    AT_MOST = "<="
    AT_LEAST = ">="
    MORE = ">"

    def holds(self, measured: float, value: float) -> bool:
        return _COMPARE[self](measured, value)


_COMPARE: Mapping[Comparator, Callable[[float, float], bool]] = {
    Comparator.LESS: operator.lt,
    Comparator.AT_MOST: operator.le,
    Comparator.AT_LEAST: operator.ge,
    Comparator.MORE: operator.gt,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What a metric must reach, `accuracy>=0.95`.

    Raises:
        InvalidArgument: THRESHOLD_INVALID.
    """

    metric: str
    comparator: Comparator
    value: float

    def __post_init__(self) -> None:
        if not self.metric or not math.isfinite(self.value):
            raise InvalidArgument(
                "THRESHOLD_INVALID",
                "thresholds: a threshold needs a metric and a finite value",
                field="thresholds",
                remedy="write for example accuracy at least 0.95",
            )

    def __str__(self) -> str:
        return f"{self.metric}{self.comparator}{self.value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdResult:
    """A threshold and what was measured; None: the evaluation gives no such metric, and the threshold does not hold."""

    threshold: Threshold
    measured: float | None
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport:
    """What one validation of a version found.

    Attributes:
        artifact_sha256: of the artifact that was checked.
        evaluation_set_id: the training set that it was evaluated on; empty: artifact and signature alone were checked.
        examples: behind the metrics.
        reason: why it did not pass, one sentence; empty: it did.
    """

    model_id: str
    version: int
    operation_id: str
    artifact_sha256: str
    evaluation_set_id: str = ""
    examples: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    thresholds: tuple[ThresholdResult, ...] = ()
    reason: str = ""
    created_at: datetime

    @property
    def passed(self) -> bool:
        return not self.reason


def judged(thresholds: Sequence[Threshold], metrics: Mapping[str, float]) -> tuple[tuple[ThresholdResult, ...], str]:
    """Each threshold held against what was measured; and why they do not all hold, empty if they do."""
    results = tuple(_result(threshold, metrics.get(threshold.metric)) for threshold in thresholds)
    failed = [_shortfall(result) for result in results if not result.passed]
    return results, "; ".join(failed)


def _result(threshold: Threshold, measured: float | None) -> ThresholdResult:
    passed = measured is not None and threshold.comparator.holds(measured, threshold.value)
    return ThresholdResult(threshold=threshold, measured=measured, passed=passed)


def _shortfall(result: ThresholdResult) -> str:
    if result.measured is None:
        return f"{result.threshold} was asked for, and {result.threshold.metric} was not measured"
    return f"{result.threshold} was asked for, and {result.threshold.metric} is {result.measured:g}"
