"""Pairs: every entry against every other, with p-values adjusted for their number; vectorised over pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synapsenet.experiments.comparison import Correction, Entry, Pair, PairStatus, Question, Test
from synapsenet.experiments.series import Float64s
from synapsenet.experiments.significance import (
    TTests,
    benjamini_hochberg,
    cliffs_deltas,
    hedges_g,
    holm,
    moments,
    paired,
    welch,
)


def compare_pairs(entries: Sequence[Entry], question: Question) -> tuple[Pair, ...]:
    """Every pair of entries, in their order.

    Each pair takes the paired t-test where both entries have the same seeds, each once, and Welch's otherwise, unless the
    question says which. The family of the adjustment is all pairs that have a p-value.
    """
    first, second = np.triu_indices(len(entries), k=1)
    if not len(first):
        return ()
    table = _Table(entries, question, first, second)
    table.run_paired()
    table.run_welch()
    table.adjust()
    return table.pairs()


class _Table:
    """The pairs as columns while they are computed; `first` and `second` index the entries."""

    def __init__(self, entries: Sequence[Entry], question: Question, first: NDArray[np.intp], second: NDArray[np.intp]) -> None:
        self._entries = entries
        self._question = question
        self._first, self._second = first, second
        self._samples = [np.array([replicate.value for replicate in entry.replicates]) for entry in entries]
        self._moments = moments(self._samples)
        self._seeds = _seed_groups(entries)
        self._matched = (self._seeds[first] == self._seeds[second]) & (self._seeds[first] >= 0)
        few = np.minimum(self._moments.n[first], self._moments.n[second]) < 2
        self._paired = self._matched & (question.test is not Test.WELCH_T) | (question.test is Test.PAIRED_T)
        self._reasons = {
            PairStatus.OVERLAPPING_RUNS: _overlapping(entries, first, second),
            PairStatus.INSUFFICIENT_REPLICATES: few,
            PairStatus.SEEDS_DIFFER: self._paired & ~self._matched,
        }
        self._testable = ~np.any(list(self._reasons.values()), axis=0)
        self._p, self._adjusted = np.full(len(first), np.nan), np.full(len(first), np.nan)
        self._statistic, self._degrees = np.full(len(first), np.nan), np.full(len(first), np.nan)
        self._half = np.full(len(first), np.nan)

    def run_paired(self) -> None:
        """Entries with the same seeds are rows of one matrix, so their pairs are differences of its rows."""
        wanted = self._paired & self._testable
        for group in np.unique(self._seeds[self._first[wanted]]):
            chosen = np.flatnonzero(wanted & (self._seeds[self._first] == group))
            self._record(chosen, paired(self._stacked(self._first[chosen]), self._stacked(self._second[chosen])))

    def _stacked(self, indices: NDArray[np.intp]) -> Float64s:
        """Samples of equal size as rows."""
        return np.stack([self._samples[index] for index in indices])

    def run_welch(self) -> None:
        chosen = np.flatnonzero(~self._paired & self._testable)
        self._record(chosen, welch(self._moments.at(self._first[chosen]), self._moments.at(self._second[chosen])))

    def _record(self, chosen: NDArray[np.intp], tests: TTests) -> None:
        self._p[chosen] = tests.p_values
        self._statistic[chosen] = tests.statistic
        self._degrees[chosen] = np.where(np.isnan(tests.p_values), np.nan, tests.degrees_of_freedom)
        self._half[chosen] = tests.half_width(self._question.confidence)

    def adjust(self) -> None:
        family = np.flatnonzero(~np.isnan(self._p))
        match self._question.correction:
            case Correction.HOLM:
                self._adjusted[family] = holm(self._p[family])
            case Correction.BENJAMINI_HOCHBERG:
                self._adjusted[family] = benjamini_hochberg(self._p[family])
            case Correction.NONE:
                self._adjusted[family] = self._p[family]

    def pairs(self) -> tuple[Pair, ...]:
        one, other = self._moments.at(self._first), self._moments.at(self._second)
        difference = one.mean - other.mean
        figures = {
            "difference": difference,
            "difference_low": difference - self._half,
            "difference_high": difference + self._half,
            "statistic": self._statistic,
            "degrees_of_freedom": self._degrees,
            "p_value": self._p,
            "adjusted_p_value": self._adjusted,
            "hedges_g": hedges_g(one, other),
            "cliffs_delta": cliffs_deltas(self._samples)[self._first, self._second],
        }
        rows = zip(*(_column(figure) for figure in figures.values()), strict=True)
        significant = (self._adjusted <= self._question.alpha).tolist()
        names = [entry.subject.entry for entry in self._entries]
        return tuple(
            Pair(
                first=names[first],
                second=names[second],
                status=self._status(number),
                test=Test.PAIRED_T if self._paired[number] else Test.WELCH_T,
                first_n=len(self._samples[first]),
                second_n=len(self._samples[second]),
                significant=significant[number],
                **dict(zip(figures, row, strict=True)),
            )
            for number, (first, second, row) in enumerate(zip(self._first.tolist(), self._second.tolist(), rows, strict=True))
        )

    def _status(self, number: int) -> PairStatus:
        reason = next((status for status, mask in self._reasons.items() if mask[number]), PairStatus.ZERO_VARIANCE)
        return PairStatus.OK if self._p[number] == self._p[number] else reason


def _seed_groups(entries: Sequence[Entry]) -> NDArray[np.intp]:
    """A number for each entry, the same for those with the same seeds; -1 where a seed is missing or repeated."""
    numbers: dict[tuple[int, ...], int] = {}
    groups = []
    for entry in entries:
        seeds = [replicate.run.seed for replicate in entry.replicates]
        known = tuple(seed for seed in seeds if seed is not None)
        usable = len(seeds) > 0 and len(known) == len(seeds) == len(set(known))
        groups.append(numbers.setdefault(known, len(numbers)) if usable else -1)
    return np.array(groups, dtype=np.intp)


def _overlapping(entries: Sequence[Entry], first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Pairs of which both sides count the same run; only entries of one experiment can."""
    runs = [{replicate.run.id for replicate in entry.replicates} for entry in entries]
    by_experiment: dict[str, int] = defaultdict(lambda: len(by_experiment))
    experiment = np.array([by_experiment[entry.subject.experiment.id] for entry in entries])
    overlap = np.zeros(len(first), dtype=np.bool_)
    for row in np.flatnonzero(experiment[first] == experiment[second]):
        overlap[row] = not runs[first[row]].isdisjoint(runs[second[row]])
    return overlap


def _column(figures: Float64s) -> list[float | None]:
    return [None if figure != figure else figure for figure in figures.tolist()]
