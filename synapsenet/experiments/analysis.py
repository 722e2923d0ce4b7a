"""Analysis: what can be asked of recorded experiments."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from synapsenet.errors import InvalidArgument, NotFound, ResourceExhausted
from synapsenet.experiments.availability import refuse_what_is_to_come
from synapsenet.experiments.comparison import (
    Comparison,
    Entry,
    ExclusionReason,
    MetricChoice,
    PairStatus,
    Question,
    Subject,
    Unknown,
    measure,
    stand_for,
)
from synapsenet.experiments.configuration import tuned
from synapsenet.experiments.existence import existing
from synapsenet.experiments.filter_grammar import parse_filter, parse_order
from synapsenet.experiments.importance import Ranking, rank_parameters
from synapsenet.experiments.metric_choice import direction_of, preference, reduced, reducer_of, unknown_metric
from synapsenet.experiments.model import Experiment, Reducer, Run, RunState
from synapsenet.experiments.options import ExperimentsOptions
from synapsenet.experiments.pairs import compare_pairs
from synapsenet.experiments.parameters import report_parameters
from synapsenet.experiments.ports import ExperimentsWork, Match, Query
from synapsenet.experiments.ranking import find_best
from synapsenet.experiments.selection import parse_fields
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.records import encode
from synapsenet.platform.to_come import to_come
from synapsenet.platform.work import WorkFactory

T = TypeVar("T")

DEFAULT_LISTED_RUNS = 50
MOST_LISTED_RUNS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchWish:
    """Which runs are wanted.

    Attributes:
        filter, order_by: as written; see `filter_grammar`.
        listed_runs: runs listed under one experiment; 0 means 50.
        fields: what to answer of each run; see `selection`.
    """

    filter: str = ""
    order_by: str = ""
    project: str = ""
    listed_runs: int = 0
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceWish:
    """Which ranking is wanted.

    Attributes:
        metric: empty for the preferred one of those that most runs have.
        params: only these; empty for all.
    """

    experiment_id: str
    metric: str = ""
    reducer: Reducer | None = None
    states: frozenset[RunState] = frozenset({RunState.FINISHED})
    params: tuple[str, ...] = ()
    interactions: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """A ranking, and of what. The same `data_version` means the same answer."""

    experiment_id: str
    metric: str
    metric_requested: bool
    candidate_metrics: tuple[str, ...]
    reducer: Reducer
    runs: int
    excluded_runs: int
    configurations: int
    data_version: str
    ranking: Ranking


class Analysis:
    """Answers questions about experiments. Statistics are computed beside the event loop, a bounded number at a time."""

    def __init__(self, *, work: WorkFactory[ExperimentsWork], options: ExperimentsOptions) -> None:
        self._work = work
        self._options = options
        self._computing = asyncio.Semaphore(options.concurrent_analyses)

    async def search_runs(self, wish: SearchWish, page: PageRequest) -> Page[Run]:
        """The matching runs as a flat list. Raises InvalidArgument FILTER_INVALID or FIELD_UNKNOWN."""
        query, selected = _query(wish), parse_fields(wish.fields)
        found = await self._work.read(lambda tx: tx.runs.search(query, page))
        return Page(tuple(map(selected, found.items)), found.next_token)

    async def search(self, wish: SearchWish, page: PageRequest) -> Page[Match]:
        """Experiments with their matching runs.

        Raises:
            InvalidArgument: FILTER_INVALID, FIELD_UNKNOWN or RUNS_PER_EXPERIMENT_INVALID.
        """
        if not 0 <= wish.listed_runs <= MOST_LISTED_RUNS:
            raise InvalidArgument(
                "RUNS_PER_EXPERIMENT_INVALID", field="runs_per_experiment", remedy=f"give 1 to {MOST_LISTED_RUNS}, or 0 for 50"
            )
        query, selected = _query(wish), parse_fields(wish.fields)
        listed = wish.listed_runs or DEFAULT_LISTED_RUNS
        found = await self._work.read(lambda tx: tx.runs.search_by_experiment(query, page, runs=listed))
        matches = (replace(match, runs=tuple(map(selected, match.runs))) for match in found.items)
        return Page(tuple(matches), found.next_token)

    async def compare(self, question: Question) -> Comparison:
        """Compare experiments or configurations.

        Raises:
            NotFound: EXPERIMENTS_UNKNOWN, none of the entries exists; metadata `unknown` names each.
            InvalidArgument: TOO_MANY_ENTRIES, CONFIGURATION_AMBIGUOUS, METRIC_UNKNOWN, DIRECTION_CONFLICT or
                DIRECTION_UNKNOWN.
            NotYetAvailable: NOT_YET_AVAILABLE, an option of `availability`.
            ResourceExhausted: TOO_MANY_RUNS.
        """
        refuse_what_is_to_come(question)
        entries = tuple(dict.fromkeys(question.entries))
        if len(entries) > self._options.largest_comparison:
            raise InvalidArgument(
                "TOO_MANY_ENTRIES",
                f"experiment_ids: {len(entries)} entries",
                field="experiment_ids",
                remedy=f"compare at most {self._options.largest_comparison} at once",
            )
        ids = {entry.partition("@")[0] for entry in entries}

        def query(tx: ExperimentsWork) -> tuple[dict[str, Experiment], dict[str, list[Run]]]:
            return tx.experiments.find(ids), self._runs_of(tx, ids)

        experiments, runs = await self._work.read(query)
        subjects, unknown = _found(replace(question, entries=entries), experiments, runs)
        return await self._compute(lambda: _compared(question, subjects, unknown))

    async def importance(self, wish: ImportanceWish) -> Importance:
        """Rank the hyperparameters of an experiment.

        Raises:
            NotFound: EXPERIMENT_UNKNOWN.
            InvalidArgument: METRIC_UNKNOWN, PARAMETER_UNKNOWN or DIRECTION_UNKNOWN.
            ResourceExhausted: TOO_MANY_RUNS.
            NotYetAvailable: NOT_YET_AVAILABLE, interactions.
        """
        if wish.interactions:
            raise to_come("interactions", remedy="leave it out for the main effects")

        def query(tx: ExperimentsWork) -> tuple[Experiment, list[Run]]:
            experiment = existing(tx, wish.experiment_id)
            return experiment, self._runs_of(tx, {wish.experiment_id}).get(wish.experiment_id, [])

        experiment, runs = await self._work.read(query)
        return await self._compute(lambda: _ranked(wish, experiment, runs, self._options))

    def _runs_of(self, tx: ExperimentsWork, ids: set[str]) -> dict[str, list[Run]]:
        most = self._options.largest_analysis_runs
        runs = tx.runs.of(ids, limit=most + 1)
        if sum(map(len, runs.values())) > most:
            raise ResourceExhausted("TOO_MANY_RUNS", f"more than {most} runs", remedy="name fewer experiments")
        return runs

    async def _compute(self, answer: Callable[[], T]) -> T:
        async with self._computing:
            return await asyncio.to_thread(answer)


def _query(wish: SearchWish) -> Query:
    return Query(filter=parse_filter(wish.filter), ordering=parse_order(wish.order_by), project=wish.project)


def _found(
    question: Question, experiments: dict[str, Experiment], runs: dict[str, list[Run]]
) -> tuple[list[Subject], list[Unknown]]:
    subjects: list[Subject] = []
    unknown: list[Unknown] = []
    for entry in question.entries:
        experiment_id = entry.partition("@")[0]
        known = experiments.get(experiment_id)
        if known is None:
            unknown.append(Unknown(entry=entry, reason=f"there is no experiment {experiment_id}"))
            continue
        standing = stand_for(entry, known, runs.get(experiment_id, []), question)
        subjects.append(standing) if isinstance(standing, Subject) else unknown.append(standing)
    if not subjects:
        raise NotFound(
            "EXPERIMENTS_UNKNOWN",
            "; ".join(one.reason for one in unknown),
            field="experiment_ids",
            remedy="list the experiments for those that there are",
            metadata={"unknown": ",".join(one.entry for one in unknown)},
        )
    return subjects, unknown


def _compared(question: Question, subjects: Sequence[Subject], unknown: Sequence[Unknown]) -> Comparison:
    experiments = [subject.experiment for subject in subjects]
    metric, choice, candidates = _chosen(question, subjects)
    direction, source = direction_of(metric, experiments, question.direction)
    reducer = reducer_of(metric, experiments, direction, question.reducer)
    entries = tuple(measure(subject, metric, reducer, question.confidence) for subject in subjects)
    pairs = compare_pairs(entries, question)
    best = find_best(entries, pairs, direction, confidence=question.confidence)
    comparison = Comparison(
        question=question,
        metric=metric,
        metric_choice=choice,
        candidate_metrics=tuple(candidates),
        direction=direction,
        direction_source=source,
        reducer=reducer,
        family_size=sum(pair.p_value is not None for pair in pairs),
        entries=entries,
        unknown=tuple(unknown),
        parameters=report_parameters(subjects),
        best=best,
        pairs=pairs,
    )
    return replace(comparison, notes=tuple(_notes(comparison)))


def _chosen(question: Question, subjects: Sequence[Subject]) -> tuple[str, MetricChoice, list[str]]:
    experiments = [subject.experiment for subject in subjects]
    logged = {metric for subject in subjects for run in subject.runs for metric in run.metrics}
    common = [metric for metric in logged if all(subject.has(metric) for subject in subjects)]
    candidates = preference(experiments, common)
    if question.metric:
        if question.metric not in logged:
            raise unknown_metric(question.metric, preference(experiments, logged))
        return question.metric, MetricChoice.REQUESTED, candidates
    if not candidates:
        return "", MetricChoice.NONE, candidates
    return candidates[0], MetricChoice.ONLY_COMMON if len(candidates) == 1 else MetricChoice.FIRST_COMMON, candidates


def _notes(comparison: Comparison) -> list[str]:
    notes = []
    if comparison.metric_choice is MetricChoice.NONE:
        notes.append("no metric is common to all entries: name one with metric")
    elif comparison.metric_choice is MetricChoice.FIRST_COMMON:
        others = len(comparison.candidate_metrics) - 1
        more = "1 other metric is" if others == 1 else f"{others} other metrics are"
        notes.append(f"{comparison.metric} was taken, {more} common to all: name one with metric")
    if comparison.metric and comparison.direction is None:
        notes.append(f"whether higher or lower values of {comparison.metric} are better is not known: give direction")
    few = [pair for pair in comparison.pairs if pair.status is PairStatus.INSUFFICIENT_REPLICATES]
    if comparison.metric and few:
        notes.append(f"{len(few)} pairs have no p-value, since a side has fewer than two finished runs with a value: add seeds")
    diverged = sum(_diverged(entry) for entry in comparison.entries)
    if diverged:
        notes.append(f"{diverged} runs ended non-finite and do not count; their configurations rank behind the others")
    return notes


def _diverged(entry: Entry) -> int:
    return sum(one.reason is ExclusionReason.NOT_FINITE for one in entry.excluded)


def _ranked(wish: ImportanceWish, experiment: Experiment, runs: Sequence[Run], options: ExperimentsOptions) -> Importance:
    counted = [run for run in runs if run.state in wish.states]
    metric, candidates = _importance_metric(wish, experiment, counted)
    direction, _ = direction_of(metric, [experiment])
    reducer = reducer_of(metric, [experiment], direction, wish.reducer)
    values = [(run, reduced(run, metric, reducer)) for run in counted]
    finite = [(run, value) for run, value in values if value is not None and np.isfinite(value)]
    params = [tuned(run.params, experiment.parameter_definitions) for run, _ in finite]
    if wish.params:
        params = [{name: run[name] for name in wish.params if name in run} for run in params]
        _check_params(wish, {name for run in params for name in run})
    configurations = [run.configuration_id for run, _ in finite]
    data = (metric, reducer, [run.id for run, _ in finite], [value for _, value in finite], params)
    ranking = rank_parameters(
        params,
        np.array([value for _, value in finite], dtype=np.float64),
        configurations,
        {definition.name: definition for definition in experiment.parameter_definitions},
        permutations=options.permutations,
        resamples=options.resamples,
    )
    return Importance(
        experiment_id=experiment.id,
        metric=metric,
        metric_requested=bool(wish.metric),
        candidate_metrics=tuple(candidates),
        reducer=reducer,
        runs=len(finite),
        excluded_runs=len(runs) - len(finite),
        configurations=len(set(configurations)),
        data_version=hashlib.sha256(encode(data)).hexdigest()[:16],
        ranking=ranking,
    )


def _importance_metric(wish: ImportanceWish, experiment: Experiment, runs: Sequence[Run]) -> tuple[str, list[str]]:
    counts: dict[str, int] = {}
    for run in runs:
        for metric in run.metrics:
            counts[metric] = counts.get(metric, 0) + 1
    defined = {definition.name for definition in experiment.metric_definitions}
    candidates = sorted(counts, key=lambda metric: (metric not in defined, -counts[metric], metric))
    if wish.metric and wish.metric not in counts:
        raise unknown_metric(wish.metric, candidates)
    return wish.metric or (candidates[0] if candidates else ""), candidates


def _check_params(wish: ImportanceWish, known: set[str]) -> None:
    for name in wish.params:
        if name not in known:
            raise InvalidArgument(
                "PARAMETER_UNKNOWN",
                f"params: no counted run of {wish.experiment_id} has {name}",
                field="params",
                remedy="name tuned hyperparameters of the experiment's runs",
            )
