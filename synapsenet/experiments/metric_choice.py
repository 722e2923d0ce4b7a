"""Which metric is meant, which of its values are better, and which number stands for a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum

from synapsenet.errors import InvalidArgument
from synapsenet.experiments.model import Direction, Experiment, MetricDefinition, Reducer, Run

_HIGHER = """accuracy acc auc auroc auprc f1 precision recall score reward return r2 bleu rouge map ndcg mrr iou dice
throughput top1 top5 specificity sensitivity likelihood"""
_LOWER = """loss error err errors rmse mse mae mape perplexity ppl nll wer cer latency time seconds duration cost regret kl
divergence brier"""
_SHOWN = 20


class DirectionSource(Enum):
    """How a direction was found."""

    REQUEST = "request"
    DEFINITION = "definition"
    NAME = "name"
    UNKNOWN = "unknown"


def direction_by_name(metric: str) -> Direction | None:
    """The direction that the words of the name say; None if they say nothing, or both."""
    words = set(re.findall(r"[a-z]+\d*", metric.lower()))
    higher, lower = not words.isdisjoint(_HIGHER.split()), not words.isdisjoint(_LOWER.split())
    if higher == lower:
        return None
    return Direction.MAXIMIZE if higher else Direction.MINIMIZE


def direction_of(
    metric: str, experiments: Iterable[Experiment], asked: Direction | None = None
) -> tuple[Direction | None, DirectionSource]:
    """As asked for, else as the experiments define it, else by name.

    Raises:
        InvalidArgument: DIRECTION_CONFLICT, the experiments define it differently and the request does not say.
    """
    if asked is not None:
        return asked, DirectionSource.REQUEST
    defined = {definition.direction for definition in _definitions(metric, experiments)} - {None}
    if len(defined) > 1:
        raise InvalidArgument(
            "DIRECTION_CONFLICT",
            f"the experiments define different directions of {metric}",
            field="direction",
            remedy="say which values are better",
        )
    if defined:
        return defined.pop(), DirectionSource.DEFINITION
    named = direction_by_name(metric)
    return named, DirectionSource.UNKNOWN if named is None else DirectionSource.NAME


def reducer_of(
    metric: str, experiments: Iterable[Experiment], direction: Direction | None, asked: Reducer | None = None
) -> Reducer:
    """As asked for, else as all experiments that say something define it, else LAST; BEST becomes MIN or MAX.

    Raises:
        InvalidArgument: DIRECTION_UNKNOWN, the best value is wanted of a metric whose direction nobody knows.
    """
    defined = {definition.reducer for definition in _definitions(metric, experiments)} - {None}
    reducer = asked or (defined.pop() if len(defined) == 1 else None) or Reducer.LAST
    if reducer is not Reducer.BEST:
        return reducer
    if direction is None:
        raise InvalidArgument(
            "DIRECTION_UNKNOWN",
            f"which values of {metric} are better is not known",
            field="direction",
            remedy="give the direction, or define it in the experiment",
        )
    return Reducer.MAX if direction is Direction.MAXIMIZE else Reducer.MIN


def reduced(run: Run, metric: str, reducer: Reducer) -> float | None:
    """The number that stands for the run, possibly non-finite; None if it has no such point.

    The lowest and highest values are of finite points; of a series without any, the last value stands, so that it shows.
    """
    summary = run.metrics.get(metric)
    if summary is None:
        return None
    value = {Reducer.MIN: summary.min, Reducer.MAX: summary.max}.get(reducer)
    return summary.last if value is None else value


def unknown_metric(metric: str, known: Sequence[str]) -> InvalidArgument:
    """What to raise for a metric that no run logged."""
    shown = ", ".join(known[:_SHOWN]) + (" …" if len(known) > _SHOWN else "")
    return InvalidArgument(
        "METRIC_UNKNOWN",
        f"no run logged the metric {metric}",
        field="metric",
        remedy=f"choose one of: {shown}" if known else "log a metric first",
        metadata={"metric": metric},
    )


def preference(experiments: Iterable[Experiment], metrics: Iterable[str]) -> list[str]:
    """The metrics in the order in which one is chosen for a request that names none: defined ones first, then by name."""
    defined = {definition.name for experiment in experiments for definition in experiment.metric_definitions}
    return sorted(metrics, key=lambda metric: (metric not in defined, metric))


def _definitions(metric: str, experiments: Iterable[Experiment]) -> list[MetricDefinition]:
    found = (experiment.definition_of(metric) for experiment in experiments)
    return [definition for definition in found if definition is not None]
