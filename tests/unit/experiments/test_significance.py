"""Tests between entries, held against scipy and against plain loops."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from synapsenet.experiments.comparison import (
    Correction,
    Entry,
    PairStatus,
    Question,
    Replicate,
    Representative,
    Subject,
    Test,
    statistics,
)
from synapsenet.experiments.model import Direction, RunState
from synapsenet.experiments.pairs import compare_pairs
from synapsenet.experiments.ranking import find_best
from synapsenet.experiments.significance import benjamini_hochberg, cliffs_deltas, hedges_g, holm, moments, paired, welch
from synapsenet.testing.experiments import experiment, run

RUNS = itertools.count()
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)


def entry(name: str, values: Sequence[float], seeds: Sequence[int | None] | None = None) -> Entry:
    """An entry with these final values; seeds count from 0 unless given."""
    chosen = list(range(len(values))) if seeds is None else seeds
    runs = [
        run(next(RUNS), {"name": name}, seed=seed, state=RunState.FINISHED, configuration_id=f"c-{name}") for seed in chosen
    ]
    return Entry(
        subject=Subject(
            entry=name,
            experiment=experiment(),
            representative=Representative.NAMED_CONFIGURATION,
            configuration_id=f"c-{name}",
            runs=tuple(runs),
            barred=(),
        ),
        params={},
        statistics=statistics("x", values, 0.95),
        other_statistics=(),
        replicates=tuple(Replicate(run=each, value=value) for each, value in zip(runs, values, strict=True)),
        excluded=(),
    )


def samples(count: int, *, seed: int = 1) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(number % 3, 1 + number % 2, size=2 + number % 5) for number in range(count)]


class TestTests:
    def test_welch_agrees_with_scipy(self) -> None:
        groups = samples(12)
        first, second = np.triu_indices(12, k=1)
        ours = welch(moments(groups).at(first), moments(groups).at(second))
        for row, (one, other) in enumerate(zip(first, second, strict=True)):
            oracle = stats.ttest_ind(groups[one], groups[other], equal_var=False)
            interval = oracle.confidence_interval(0.9)
            assert ours.statistic[row] == pytest.approx(oracle.statistic)
            assert ours.degrees_of_freedom[row] == pytest.approx(oracle.df)
            assert ours.p_values[row] == pytest.approx(oracle.pvalue)
            half = ours.half_width(0.9)[row]
            assert ours.difference[row] + np.array([-half, half]) == pytest.approx([interval.low, interval.high])

    def test_the_paired_test_agrees_with_scipy(self) -> None:
        random = np.random.default_rng(2)
        first, second = random.normal(size=(20, 5)), random.normal(0.5, 2, size=(20, 5))
        oracle = stats.ttest_rel(first, second, axis=1)
        ours = paired(first, second)
        assert ours.p_values == pytest.approx(oracle.pvalue)
        assert ours.statistic == pytest.approx(oracle.statistic)
        assert ours.degrees_of_freedom.tolist() == [4.0] * 20

    def test_differences_that_are_only_rounding_are_no_variance(self) -> None:
        first = np.array([[1.1, 1.2, 1.3]])
        assert np.isnan(paired(first, first + 0.1).p_values[0])
        flat = moments([np.array([0.1 + 0.2] * 3), np.array([0.3] * 3)])
        assert np.isnan(welch(flat.at(np.array([0])), flat.at(np.array([1]))).p_values[0])

    def test_one_side_without_variance_can_still_be_tested(self) -> None:
        groups = moments([np.array([1.0, 1.0, 1.0]), np.array([2.0, 3.0, 4.5])])
        oracle = stats.ttest_ind_from_stats(1.0, 0.0, 3, 9.5 / 3, np.std([2.0, 3.0, 4.5], ddof=1), 3, equal_var=False)
        assert welch(groups.at(np.array([0])), groups.at(np.array([1]))).p_values[0] == pytest.approx(oracle.pvalue)

    @pytest.mark.parametrize("n", [3, 5])
    def test_null_pairs_are_called_different_as_often_as_alpha_says(self, n: int) -> None:
        random = np.random.default_rng(n)
        trials = 2000
        first, second = random.normal(size=(2, trials, n))
        bound = stats.binom.ppf(0.999, trials, 0.05)
        assert (paired(first, second).p_values <= 0.05).sum() <= bound
        welchs = welch(moments(list(first)), moments(list(second)))
        assert (welchs.p_values <= 0.05).sum() <= bound


class TestCorrections:
    @given(p_values)
    def test_holm_is_its_definition(self, p: np.ndarray) -> None:
        order = np.argsort(p, kind="stable")
        expected = np.empty(len(p))
        running = 0.0
        for place, index in enumerate(order):
            running = max(running, min(1.0, (len(p) - place) * p[index]))
            expected[index] = running
        assert holm(p) == pytest.approx(expected)

    @given(p_values)
    def test_benjamini_hochberg_agrees_with_scipy(self, p: np.ndarray) -> None:
        assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p, method="bh"))


class TestEffects:
    def test_hedges_g_is_cohens_d_times_its_exact_correction(self) -> None:
        one, other = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0, 9.0, 7.0])
        degrees = 5
        pooled = np.sqrt((2 * one.var(ddof=1) + 3 * other.var(ddof=1)) / degrees)
        exact = special.gamma(degrees / 2) / (np.sqrt(degrees / 2) * special.gamma((degrees - 1) / 2))
        both = moments([one, other])
        ours = hedges_g(both.at(np.array([0])), both.at(np.array([1])))
        assert ours == pytest.approx([exact * (one.mean() - other.mean()) / pooled])

    def test_cliffs_delta_counts_who_exceeds_whom(self) -> None:
        groups = [np.round(group) for group in samples(8)] + [np.array([])]
        ours = cliffs_deltas(groups)
        for (row, one), (column, other) in itertools.product(enumerate(groups[:-1]), repeat=2):
            assert ours[row, column] == pytest.approx(np.sign(one[:, None] - other[None, :]).mean())
        assert np.isnan(ours[-1]).all()
        assert np.isnan(ours[:, -1]).all()


class TestPairs:
    def test_every_pair_is_what_a_loop_of_scipy_calls_says(self) -> None:
        random = np.random.default_rng(4)
        entries = [entry(f"e{number}", random.normal(number / 5, size=5).tolist()) for number in range(9)]
        entries += [entry(f"u{number}", random.normal(size=4).tolist(), [9, 8, 7, 7]) for number in range(3)]
        pairs = compare_pairs(entries, Question(entries=()))
        assert [(pair.first, pair.second) for pair in pairs] == [
            (one.subject.entry, other.subject.entry) for one, other in itertools.combinations(entries, 2)
        ]
        oracles = []
        for one, other in itertools.combinations(entries, 2):
            values = [[replicate.value for replicate in each.replicates] for each in (one, other)]
            same = one.subject.entry.startswith("e") and other.subject.entry.startswith("e")
            oracles.append(stats.ttest_rel(*values) if same else stats.ttest_ind(*values, equal_var=False))
        assert [pair.p_value for pair in pairs] == pytest.approx([oracle.pvalue for oracle in oracles])
        assert [pair.adjusted_p_value for pair in pairs] == pytest.approx(holm(np.array([oracle.pvalue for oracle in oracles])))
        assert {pair.test for pair in pairs if pair.first.startswith("u")} == {Test.WELCH_T}

    def test_the_family_is_the_pairs_that_have_a_p_value(self) -> None:
        entries = [entry("a", [1.0, 2.0, 3.5]), entry("b", [2.0, 4.0, 9.0]), entry("single", [1.0])]
        pairs = compare_pairs(entries, Question(entries=()))
        assert [pair.status for pair in pairs] == [
            PairStatus.OK,
            PairStatus.INSUFFICIENT_REPLICATES,
            PairStatus.INSUFFICIENT_REPLICATES,
        ]
        assert pairs[0].adjusted_p_value == pairs[0].p_value

    def test_the_correction_is_the_one_asked_for(self) -> None:
        entries = [entry(f"e{number}", [number + 0.0, number + 0.3, number + 0.1 * number]) for number in range(4)]
        raw = compare_pairs(entries, Question(entries=(), correction=Correction.NONE))
        assert [pair.adjusted_p_value for pair in raw] == [pair.p_value for pair in raw]
        bounded = compare_pairs(entries, Question(entries=(), correction=Correction.BENJAMINI_HOCHBERG))
        expected = stats.false_discovery_control([pair.p_value for pair in raw])
        assert [pair.adjusted_p_value for pair in bounded] == pytest.approx(expected)

    def test_seeds_that_are_missing_or_partly_the_same_are_not_paired(self) -> None:
        plain = entry("a", [1.0, 2.0, 4.0])
        others = [entry("b", [1.0, 2.0, 5.0], [0, 1, 9]), entry("c", [1.0, 3.0, 5.0], [0, 1, None])]
        for other in others:
            (pair,) = compare_pairs([plain, other], Question(entries=()))
            assert pair.test is Test.WELCH_T
            (forced,) = compare_pairs([plain, other], Question(entries=(), test=Test.PAIRED_T))
            assert forced.status is PairStatus.SEEDS_DIFFER

    def test_one_entry_has_no_pairs(self) -> None:
        assert compare_pairs([entry("a", [1.0, 2.0])], Question(entries=())) == ()


class TestBest:
    def test_the_best_is_by_the_direction_and_tied_unless_significant(self) -> None:
        clear = [entry("a", [1.0, 1.1, 1.2]), entry("b", [9.0, 9.1, 9.3])]
        pairs = compare_pairs(clear, Question(entries=()))
        best = find_best(clear, pairs, Direction.MAXIMIZE, confidence=0.95)
        assert best is not None
        assert (best.entry, best.tied, best.runner_up_adjusted_p_value) == ("b", False, pairs[0].adjusted_p_value)
        lowest = find_best(clear, pairs, Direction.MINIMIZE, confidence=0.95)
        assert lowest is not None
        assert lowest.entry == "a"
        assert find_best(clear, pairs, None, confidence=0.95) is None
        close = [entry("a", [1.0, 2.0, 3.0]), entry("b", [1.2, 1.9, 3.1])]
        tied = find_best(close, compare_pairs(close, Question(entries=())), Direction.MAXIMIZE, confidence=0.95)
        assert tied is not None
        assert tied.tied

    def test_nothing_is_best_without_values(self) -> None:
        assert find_best([entry("a", [])], [], Direction.MAXIMIZE, confidence=0.95) is None


def test_statistics_are_those_of_a_t_interval() -> None:
    values = [1.0, 2.0, 4.0]
    ours = statistics("x", values, 0.9)
    low, high = stats.t.interval(0.9, 2, loc=np.mean(values), scale=stats.sem(values))
    assert (ours.ci_low, ours.ci_high, ours.median) == pytest.approx((low, high, 2.0))
    assert (statistics("x", [3.0], 0.9).sd, statistics("x", [], 0.9).mean) == (None, None)
