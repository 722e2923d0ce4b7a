"""Comparisons: what is asked, what stands for each experiment, and the answer's parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from synapsenet.errors import InvalidArgument
from synapsenet.experiments.metric_choice import DirectionSource, reduced
from synapsenet.experiments.model import Direction, Experiment, Parameter, Reducer, Run, RunState
from synapsenet.experiments.significance import t_quantile


class Representative(Enum):
    """What stands for an entry; AUTO is the only configuration if there is just one, else all runs."""

    AUTO = "auto"
    ONLY_CONFIGURATION = "only_configuration"
    ALL_RUNS = "all_runs"
    NAMED_CONFIGURATION = "named_configuration"
    BEST_CONFIGURATION = "best_configuration"


class Correction(Enum):
    """How p-values are adjusted for the number of pairs."""

    HOLM = "holm"
    BENJAMINI_HOCHBERG = "benjamini_hochberg"
    NONE = "none"


class Test(Enum):
    """The test behind a p-value; AUTO is PAIRED_T where seeds match one to one, else WELCH_T."""

    AUTO = "auto"
    PAIRED_T = "paired_t"
    WELCH_T = "welch_t"
    MANN_WHITNEY = "mann_whitney"
    PERMUTATION = "permutation"
    FRIEDMAN = "friedman"

    __test__ = False  # pytest collects what is called Test…


class MetricChoice(Enum):
    """How the compared metric was chosen."""

    REQUESTED = "requested"
    ONLY_COMMON = "only_common"
    FIRST_COMMON = "first_common"
    NONE = "none"


class PairStatus(Enum):
    """Whether a pair has a p-value, and if not, why."""

    OK = "ok"
    INSUFFICIENT_REPLICATES = "insufficient_replicates"
    ZERO_VARIANCE = "zero_variance"
    OVERLAPPING_RUNS = "overlapping_runs"
    SEEDS_DIFFER = "seeds_differ"


class ExclusionReason(Enum):
    """Why a run does not count."""

    STATE = "state"
    METRIC_MISSING = "metric_missing"
    NOT_FINITE = "not_finite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a comparison.

    Attributes:
        entries: `ID` or `ID@CONFIGURATION`; repetitions count once.
        metric: empty for the one that all entries have.
        reducer, direction: None leaves it to definitions and names.
        confidence: of the intervals, in (0, 1).
        alpha: level of significance, in (0, 1).
        representative: what stands for an experiment that is named without a configuration.
        at_step, at_fraction, selection_metric, selection_seeds, robust, task_tag: see `availability`.
    """

    entries: tuple[str, ...]
    metric: str = ""
    reducer: Reducer | None = None
    direction: Direction | None = None
    correction: Correction = Correction.HOLM
    test: Test = Test.AUTO
    confidence: float = 0.95
    alpha: float = 0.05
    states: frozenset[RunState] = frozenset({RunState.FINISHED})
    representative: Representative = Representative.AUTO
    at_step: int | None = None
    at_fraction: float | None = None
    selection_metric: str = ""
    selection_seeds: tuple[int, ...] = ()
    robust: bool = False
    task_tag: str = ""

    def __post_init__(self) -> None:
        for name, value in (("confidence", self.confidence), ("alpha", self.alpha)):
            if not 0 < value < 1:
                raise InvalidArgument("FRACTION_INVALID", field=name, remedy="give a number above 0 and below 1")
        for entry in self.entries:
            if not all(entry.split("@", 1)):
                raise InvalidArgument(
                    "ENTRY_INVALID",
                    f"experiment_ids: {entry!r} names no experiment",
                    field="experiment_ids",
                    remedy="give EXPERIMENT_ID or EXPERIMENT_ID@CONFIGURATION_ID",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """An entry that does not exist, and why."""

    entry: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A run that does not count, and why."""

    run: Run
    reason: ExclusionReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicate:
    """One run's final value; finite."""

    run: Run
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Figures of a metric over replicates; the interval is Student's t. What takes more replicates than there are is None."""

    metric: str
    n: int
    mean: float | None = None
    sd: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    min: float | None = None
    max: float | None = None
    median: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is compared under one entry: runs of one experiment.

    Attributes:
        runs: ordered by seed, then id; all of the allowed states.
        barred: runs of other states.
    """

    entry: str
    experiment: Experiment
    representative: Representative
    configuration_id: str
    runs: tuple[Run, ...]
    barred: tuple[Run, ...]

    def has(self, metric: str) -> bool:
        return any(metric in run.metrics for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the comparison."""

    subject: Subject
    params: Mapping[str, Parameter]
    statistics: Statistics
    other_statistics: tuple[Statistics, ...]
    replicates: tuple[Replicate, ...]
    excluded: tuple[Excluded, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two entries' metric, compared; figures that do not apply are None."""

    first: str
    second: str
    status: PairStatus
    test: Test
    first_n: int
    second_n: int
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    statistic: float | None = None
    degrees_of_freedom: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    significant: bool = False
    hedges_g: float | None = None
    cliffs_delta: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedParameter:
    """The distinct values of one hyperparameter, by entry, in the order of the entries."""

    name: str
    values: tuple[tuple[str, tuple[Parameter, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterReport:
    """Hyperparameters by how the entries have them."""

    shared: tuple[str, ...]
    constant: tuple[str, ...]
    varying: tuple[str, ...]
    missing: tuple[str, ...]
    type_conflicting: tuple[str, ...]
    values: tuple[ComparedParameter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The configuration with the best mean, and how sure that is."""

    entry: str
    experiment_id: str
    configuration_id: str
    statistics: Statistics
    params: Mapping[str, Parameter]
    runner_up: str = ""
    runner_up_adjusted_p_value: float | None = None
    tied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The answer."""

    question: Question
    metric: str
    metric_choice: MetricChoice
    candidate_metrics: tuple[str, ...]
    direction: Direction | None
    direction_source: DirectionSource
    reducer: Reducer
    family_size: int
    entries: tuple[Entry, ...]
    unknown: tuple[Unknown, ...]
    parameters: ParameterReport
    best: Best | None
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = field(default=())


def stand_for(entry: str, experiment: Experiment, runs: Sequence[Run], question: Question) -> Subject | Unknown:
    """What stands for `entry`, or that it names a configuration that `experiment`, with these runs, does not have.

    Raises:
        InvalidArgument: CONFIGURATION_AMBIGUOUS, one configuration should stand for an experiment that has several.
    """
    configuration = entry.partition("@")[2]
    existing = {run.configuration_id for run in runs}
    if configuration and configuration not in existing:
        return Unknown(entry=entry, reason=f"experiment {experiment.id} has no configuration {configuration}")
    representative = Representative.NAMED_CONFIGURATION if configuration else _representative(entry, existing, question)
    if representative is Representative.ONLY_CONFIGURATION:
        configuration = next(iter(existing))
    standing = [run for run in runs if configuration in ("", run.configuration_id)]
    standing.sort(key=lambda run: (run.seed is None, run.seed or 0, run.id))
    return Subject(
        entry=entry,
        experiment=experiment,
        representative=representative,
        configuration_id=configuration,
        runs=tuple(run for run in standing if run.state in question.states),
        barred=tuple(run for run in standing if run.state not in question.states),
    )


def _representative(entry: str, configurations: Collection[str], question: Question) -> Representative:
    asked = question.representative
    if asked is Representative.ALL_RUNS or (asked is Representative.AUTO and len(configurations) != 1):
        return Representative.ALL_RUNS
    if len(configurations) == 1 and asked is not Representative.NAMED_CONFIGURATION:
        return Representative.ONLY_CONFIGURATION
    raise InvalidArgument(
        "CONFIGURATION_AMBIGUOUS",
        f"experiment_ids: {entry} has {len(configurations)} configurations",
        field="experiment_ids",
        remedy=f"name one as {entry}@CONFIGURATION_ID",
    )


def measure(subject: Subject, metric: str, reducer: Reducer, confidence: float) -> Entry:
    """The line of `subject` for `metric`; figures of its other metrics are of their last values."""
    replicates, excluded = [], [Excluded(run=run, reason=ExclusionReason.STATE) for run in subject.barred]
    for run in subject.runs:
        value = reduced(run, metric, reducer)
        if value is None:
            excluded.append(Excluded(run=run, reason=ExclusionReason.METRIC_MISSING))
        elif not np.isfinite(value):
            excluded.append(Excluded(run=run, reason=ExclusionReason.NOT_FINITE))
        else:
            replicates.append(Replicate(run=run, value=value))
    others = sorted({name for run in subject.runs for name in run.metrics} - {metric})
    return Entry(
        subject=subject,
        params=_shared_params([replicate.run for replicate in replicates] or list(subject.runs)),
        statistics=statistics(metric, [replicate.value for replicate in replicates], confidence),
        other_statistics=tuple(_of_last_values(subject.runs, name, confidence) for name in others),
        replicates=tuple(replicates),
        excluded=tuple(excluded),
    )


def statistics(metric: str, values: Sequence[float], confidence: float) -> Statistics:
    """Figures of finite values."""
    n = len(values)
    if n == 0:
        return Statistics(metric=metric, n=0)
    mean, median = float(np.mean(values)), float(np.median(values))
    if n == 1:
        return Statistics(metric=metric, n=1, mean=mean, min=mean, max=mean, median=median)
    sd = float(np.std(values, ddof=1))
    half = float(t_quantile(confidence, n - 1.0)) * sd / n**0.5
    return Statistics(
        metric=metric,
        n=n,
        mean=mean,
        sd=sd,
        ci_low=mean - half,
        ci_high=mean + half,
        min=min(values),
        max=max(values),
        median=median,
    )


def _of_last_values(runs: Sequence[Run], metric: str, confidence: float) -> Statistics:
    values = [run.metrics[metric].last for run in runs if metric in run.metrics]
    return statistics(metric, [value for value in values if np.isfinite(value)], confidence)


def _shared_params(runs: Sequence[Run]) -> dict[str, Parameter]:
    if not runs:
        return {}
    first, *rest = runs
    return {name: value for name, value in first.params.items() if all(run.params.get(name) == value for run in rest)}
