"""What comparisons, rankings and searches answer, whatever the runs are kept in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from synapsenet.errors import InvalidArgument, NotFound, NotYetAvailable, ResourceExhausted
from synapsenet.experiments.analysis import Analysis, ImportanceWish, SearchWish
from synapsenet.experiments.comparison import (
    Comparison,
    ExclusionReason,
    MetricChoice,
    PairStatus,
    Question,
    Representative,
    Test,
)
from synapsenet.experiments.configuration import configuration_id
from synapsenet.experiments.importance import Verdict
from synapsenet.experiments.metric_choice import DirectionSource
from synapsenet.experiments.model import Direction, MetricDefinition, Parameter, Reducer, RunState
from synapsenet.experiments.options import ExperimentsOptions
from synapsenet.platform.paging import PageRequest
from synapsenet.testing.experiments import Work, experiment, log, points, run, storing

Params = Mapping[str, Parameter]


class AnalysisContract:
    """Run by a class that provides the fixture `work`."""

    @pytest.fixture
    def analysis(self, work: Work) -> Analysis:
        return Analysis(work=work, options=ExperimentsOptions())

    _number = 0

    async def log_runs(
        self, work: Work, name: str, params: Params, values: Sequence[float], *, metric: str = "accuracy", **changes: Any
    ) -> str:
        """Runs of `exp-NAME` with these last values, seeded from 0; the entry of their configuration."""
        if not await work.read(lambda tx: tx.experiments.find([f"exp-{name}"])):
            await work.run(storing(experiment(name)))
        for seed, value in enumerate(values):
            self._number += 1
            made = run(self._number, params, experiment_id=f"exp-{name}", seed=seed, state=RunState.FINISHED)
            await work.run(storing(replace(made, **changes)))
            await log(work, made.id, points([value], metric=metric))
        return f"exp-{name}@{configuration_id(params)}"

    async def test_configurations_of_one_experiment_are_compared_by_paired_tests(self, work: Work, analysis: Analysis) -> None:
        low, high = [0.90, 0.91, 0.93], [0.95, 0.97, 0.96]
        entries = await self.log_runs(work, "s", {"lr": 0.1}, low), await self.log_runs(work, "s", {"lr": 0.5}, high)
        answer = await analysis.compare(Question(entries=entries))
        (pair,) = answer.pairs
        oracle = stats.ttest_rel(low, high)
        assert (pair.status, pair.test, pair.first_n) == (PairStatus.OK, Test.PAIRED_T, 3)
        assert (pair.p_value, pair.statistic) == pytest.approx((oracle.pvalue, oracle.statistic))
        assert [pair.difference_low, pair.difference_high] == pytest.approx(list(oracle.confidence_interval()))
        assert [one.subject.representative for one in answer.entries] == [Representative.NAMED_CONFIGURATION] * 2
        assert answer.best is not None
        assert (answer.best.entry, answer.best.runner_up, answer.best.params) == (entries[1], entries[0], {"lr": 0.5})
        assert answer.best.tied == (pair.adjusted_p_value is None or pair.adjusted_p_value > 0.05)

    async def test_seeds_that_differ_take_welchs_test(self, work: Work, analysis: Analysis) -> None:
        one = await self.log_runs(work, "s", {"lr": 1}, [1.0, 2.0, 4.0])
        other = await self.log_runs(work, "s", {"lr": 2}, [3.0, 5.0, 9.0, 7.0])
        (pair,) = (await analysis.compare(Question(entries=(one, other)))).pairs
        oracle = stats.ttest_ind([1.0, 2.0, 4.0], [3.0, 5.0, 9.0, 7.0], equal_var=False)
        assert (pair.test, pair.first_n, pair.second_n) == (Test.WELCH_T, 3, 4)
        assert pair.p_value == pytest.approx(oracle.pvalue)
        (forced,) = (await analysis.compare(Question(entries=(one, other), test=Test.PAIRED_T))).pairs
        assert (forced.status, forced.p_value) == (PairStatus.SEEDS_DIFFER, None)

    async def test_an_experiment_stands_for_its_only_configuration_or_for_all_its_runs(
        self, work: Work, analysis: Analysis
    ) -> None:
        await self.log_runs(work, "one", {"lr": 1}, [1.0, 2.0])
        await self.log_runs(work, "two", {"lr": 1}, [1.0])
        await self.log_runs(work, "two", {"lr": 2}, [2.0])
        answer = await analysis.compare(Question(entries=("exp-one", "exp-two")))
        stands = [(one.subject.representative, one.subject.configuration_id) for one in answer.entries]
        assert stands == [
            (Representative.ONLY_CONFIGURATION, configuration_id({"lr": 1})),
            (Representative.ALL_RUNS, ""),
        ]
        assert answer.best is not None
        assert answer.best.tied, "configurations that are no entries are not tested"
        with pytest.raises(InvalidArgument) as refusal:
            await analysis.compare(Question(entries=("exp-two",), representative=Representative.ONLY_CONFIGURATION))
        assert refusal.value.reason == "CONFIGURATION_AMBIGUOUS"

    async def test_unknown_entries_are_listed_if_some_exist_and_refused_if_none_does(
        self, work: Work, analysis: Analysis
    ) -> None:
        known = await self.log_runs(work, "s", {"lr": 1}, [1.0, 2.0])
        answer = await analysis.compare(Question(entries=("exp-none", known, "exp-s@nothing", known)))
        assert [one.entry for one in answer.unknown] == ["exp-none", "exp-s@nothing"]
        assert [one.subject.entry for one in answer.entries] == [known]
        with pytest.raises(NotFound) as refusal:
            await analysis.compare(Question(entries=("exp-a", "exp-b"), metric="whatever"))
        assert refusal.value.metadata == {"unknown": "exp-a,exp-b"}
        assert "exp-a" in refusal.value.public
        assert "exp-b" in refusal.value.public

    async def test_experiments_with_different_schemas_are_compared_on_what_they_share(
        self, work: Work, analysis: Analysis
    ) -> None:
        await self.log_runs(work, "a", {"lr": 0.1, "layers": 2, "decay": 0.5, "depth": "auto"}, [1.0])
        await self.log_runs(work, "b", {"lr": 0.2, "layers": 2.0, "momentum": 0.9, "depth": 3}, [1.0])
        report = (await analysis.compare(Question(entries=("exp-a", "exp-b")))).parameters
        assert (report.shared, report.constant, report.varying) == (("depth", "layers", "lr"), ("layers",), ("depth", "lr"))
        assert (report.missing, report.type_conflicting) == (("decay", "momentum"), ("depth",))
        values = {one.name: dict(one.values) for one in report.values}
        assert values["decay"] == {"exp-a": (0.5,), "exp-b": ()}

    async def compared(self, work: Work, analysis: Analysis, one: Sequence[float], other: Sequence[float]) -> Comparison:
        entries = await self.log_runs(work, "s", {"lr": 1}, one), await self.log_runs(work, "s", {"lr": 2}, other)
        return await analysis.compare(Question(entries=entries))

    async def test_one_seed_a_side_has_no_p_value(self, work: Work, analysis: Analysis) -> None:
        answer = await self.compared(work, analysis, [1.0], [2.0])
        (pair,) = answer.pairs
        assert (pair.status, pair.p_value, pair.adjusted_p_value) == (PairStatus.INSUFFICIENT_REPLICATES, None, None)
        assert (pair.difference, answer.family_size) == (-1.0, 0)
        assert any("add seeds" in note for note in answer.notes)

    async def test_values_that_do_not_vary_have_no_p_value(self, work: Work, analysis: Analysis) -> None:
        (pair,) = (await self.compared(work, analysis, [1.0, 1.0, 1.0], [2.0, 2.0, 2.0])).pairs
        assert (pair.status, pair.p_value, pair.significant) == (PairStatus.ZERO_VARIANCE, None, False)

    async def test_a_diverged_run_does_not_count_and_its_configuration_does_not_win(
        self, work: Work, analysis: Analysis
    ) -> None:
        answer = await self.compared(work, analysis, [0.5, 0.6, 0.4], [0.99, math.nan, math.inf])
        assert [one.statistics.n for one in answer.entries] == [3, 1]
        assert {one.reason for one in answer.entries[1].excluded} == {ExclusionReason.NOT_FINITE}
        assert answer.best is not None
        assert answer.best.params == {"lr": 1}

    async def test_only_finished_runs_count_unless_asked(self, work: Work, analysis: Analysis) -> None:
        entry = await self.log_runs(work, "s", {"lr": 1}, [1.0, 2.0])
        await self.log_runs(work, "s", {"lr": 1}, [9.0], state=RunState.RUNNING)
        answer = (await analysis.compare(Question(entries=(entry,)))).entries[0]
        assert (answer.statistics.n, [one.reason for one in answer.excluded]) == (2, [ExclusionReason.STATE])
        every = Question(entries=(entry,), states=frozenset(RunState))
        assert (await analysis.compare(every)).entries[0].statistics.n == 3

    async def test_the_metric_is_the_one_that_all_have(self, work: Work, analysis: Analysis) -> None:
        await self.log_runs(work, "a", {"lr": 1}, [1.0], metric="error")
        await self.log_runs(work, "b", {"lr": 1}, [1.0], metric="error")
        answer = await analysis.compare(Question(entries=("exp-a", "exp-b")))
        assert (answer.metric, answer.metric_choice) == ("error", MetricChoice.ONLY_COMMON)
        assert (answer.direction, answer.direction_source) == (Direction.MINIMIZE, DirectionSource.NAME)
        await self.log_runs(work, "c", {"lr": 1}, [1.0], metric="other")
        none = await analysis.compare(Question(entries=("exp-a", "exp-c")))
        assert (none.metric, none.metric_choice, none.best) == ("", MetricChoice.NONE, None)
        with pytest.raises(InvalidArgument) as refusal:
            await analysis.compare(Question(entries=("exp-a", "exp-c"), metric="acuracy"))
        assert refusal.value.reason == "METRIC_UNKNOWN"
        assert "error" in refusal.value.remedy

    async def test_notes_say_what_was_assumed_and_what_is_missing(self, work: Work, analysis: Analysis) -> None:
        entry = await self.log_runs(work, "s", {"lr": 1}, [1.0, math.nan], metric="apples")
        alone = await analysis.compare(Question(entries=(entry,)))
        assert (alone.direction_source, alone.best) == (DirectionSource.UNKNOWN, None)
        assert ["apples" in alone.notes[0], "non-finite" in alone.notes[1]] == [True, True]
        await log(work, f"run-{self._number:04}", points([1.0], metric="berries"))
        several = await analysis.compare(Question(entries=(entry,)))
        assert (several.metric, several.metric_choice) == ("apples", MetricChoice.FIRST_COMMON)
        assert several.candidate_metrics == ("apples", "berries")
        assert "1 other metric" in several.notes[0]
        await self.log_runs(work, "t", {"lr": 1}, [1.0], metric="cherries")
        none = await analysis.compare(Question(entries=("exp-s", "exp-t")))
        assert "no metric is common" in none.notes[0]

    @pytest.mark.parametrize("entry", ["", "@conf", "exp-s@"])
    async def test_an_entry_that_names_nothing_is_refused(self, entry: str) -> None:
        with pytest.raises(InvalidArgument) as refusal:
            Question(entries=(entry,))
        assert refusal.value.reason == "ENTRY_INVALID"

    async def test_a_definition_decides_direction_and_reducer(self, work: Work, analysis: Analysis) -> None:
        defined = MetricDefinition(name="score", direction=Direction.MINIMIZE, reducer=Reducer.BEST)
        await work.run(storing(experiment("golf", metric_definitions=(defined,))))
        entry = await self.log_runs(work, "golf", {"lr": 1}, [3.0, 5.0], metric="score")
        answer = await analysis.compare(Question(entries=(entry,)))
        assert (answer.direction, answer.direction_source) == (Direction.MINIMIZE, DirectionSource.DEFINITION)
        assert answer.reducer is Reducer.MIN
        asked = await analysis.compare(Question(entries=(entry,), direction=Direction.MAXIMIZE))
        assert (asked.direction_source, asked.reducer) == (DirectionSource.REQUEST, Reducer.MAX)

    async def test_entries_that_share_runs_are_not_tested_against_each_other(self, work: Work, analysis: Analysis) -> None:
        one = await self.log_runs(work, "s", {"lr": 1}, [1.0, 2.0])
        await self.log_runs(work, "s", {"lr": 2}, [3.0, 4.0])
        (pair,) = (await analysis.compare(Question(entries=(one, "exp-s")))).pairs
        assert (pair.status, pair.p_value) == (PairStatus.OVERLAPPING_RUNS, None)

    async def test_a_hundred_entries_are_compared_and_a_hundred_and_one_are_not(self, work: Work, analysis: Analysis) -> None:
        random = np.random.default_rng(2)
        entries = [await self.log_runs(work, "s", {"lr": n}, random.normal(size=3).tolist()) for n in range(100)]
        answer = await analysis.compare(Question(entries=tuple(entries)))
        assert (len(answer.pairs), answer.family_size) == (4950, 4950)
        with pytest.raises(InvalidArgument) as refusal:
            await analysis.compare(Question(entries=(*entries, "exp-one-more")))
        assert refusal.value.reason == "TOO_MANY_ENTRIES"

    async def test_too_many_runs_are_refused(self, work: Work) -> None:
        analysis = Analysis(work=work, options=ExperimentsOptions(largest_analysis_runs=3))
        entry = await self.log_runs(work, "s", {"lr": 1}, [1.0] * 4)
        for asking in (
            analysis.compare(Question(entries=(entry,))),
            analysis.importance(ImportanceWish(experiment_id="exp-s")),
        ):
            with pytest.raises(ResourceExhausted):
                await asking

    async def test_the_parameter_that_decides_is_ranked_first(self, work: Work, analysis: Analysis) -> None:
        random = np.random.default_rng(3)
        for number in range(40):
            rate, width = 10.0 ** (number % 4 - 4), int(random.integers(1, 5))
            await self.log_runs(work, "s", {"rate": rate, "width": width}, [number % 4 + random.normal() / 10])
        answer = await analysis.importance(ImportanceWish(experiment_id="exp-s"))
        ranked = answer.ranking.parameters
        assert (answer.ranking.verdict, answer.runs, ranked[0].name) == (Verdict.RELIABLE, 40, "rate")
        assert ranked[0].importance > 0.9
        assert ranked[1].importance < 0.3
        again = await analysis.importance(ImportanceWish(experiment_id="exp-s"))
        assert again == answer
        only = await analysis.importance(ImportanceWish(experiment_id="exp-s", params=("width",)))
        assert [one.name for one in only.ranking.parameters] == ["width"]
        assert only.data_version != answer.data_version

    async def test_importance_names_what_is_unknown(self, work: Work, analysis: Analysis) -> None:
        with pytest.raises(NotFound, match="exp-none"):
            await analysis.importance(ImportanceWish(experiment_id="exp-none", metric="x"))
        await self.log_runs(work, "s", {"lr": 1}, [1.0])
        with pytest.raises(InvalidArgument) as refusal:
            await analysis.importance(ImportanceWish(experiment_id="exp-s", metric="nobody"))
        assert refusal.value.reason == "METRIC_UNKNOWN"
        with pytest.raises(InvalidArgument) as refusal:
            await analysis.importance(ImportanceWish(experiment_id="exp-s", params=("nobody",)))
        assert refusal.value.reason == "PARAMETER_UNKNOWN"
        few = await analysis.importance(ImportanceWish(experiment_id="exp-s"))
        assert (few.ranking.verdict, few.metric) == (Verdict.TOO_FEW_RUNS, "accuracy")

    async def test_options_to_come_are_refused_by_name(self, work: Work, analysis: Analysis) -> None:
        with pytest.raises(NotYetAvailable) as refusal:
            await analysis.compare(Question(entries=("exp-none",), at_step=3))
        assert (refusal.value.reason, refusal.value.field) == ("NOT_YET_AVAILABLE", "at_step")
        with pytest.raises(NotYetAvailable):
            await analysis.importance(ImportanceWish(experiment_id="exp-none", interactions=True))

    async def test_a_search_answers_the_fields_that_were_asked_for(self, work: Work, analysis: Analysis) -> None:
        await self.log_runs(work, "s", {"lr": 1, "width": 2}, [1.0, 2.0])
        wish = SearchWish(filter="lr=1", order_by="metrics.accuracy desc", fields=("params.lr", "metrics"))
        runs = (await analysis.search_runs(wish, PageRequest())).items
        assert [(one.params, one.metrics["accuracy"].last) for one in runs] == [({"lr": 1}, 2.0), ({"lr": 1}, 1.0)]
        (match,) = (await analysis.search(replace(wish, listed_runs=1), PageRequest())).items
        assert (match.matching_runs, [one.params for one in match.runs]) == (2, [{"lr": 1}])
        for wrong in (replace(wish, fields=("nothing",)), replace(wish, filter="lr=")):
            with pytest.raises(InvalidArgument):
                await analysis.search(wrong, PageRequest())
