"""What is recorded of runs: configurations, series, changes, and which metric is meant."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapsenet.errors import FailedPrecondition, InvalidArgument
from synapsenet.experiments.configuration import canonical, configuration_id, role_of, seed_of, tuned
from synapsenet.experiments.metric_choice import DirectionSource, direction_by_name, direction_of, reduced, reducer_of
from synapsenet.experiments.model import (
    LONGEST_TEXT,
    MOST_LABELS,
    Direction,
    Experiment,
    MetricDefinition,
    MetricSummary,
    Parameter,
    ParameterDefinition,
    ParameterRole,
    Reducer,
    RunState,
)
from synapsenet.experiments.selection import parse_fields
from synapsenet.experiments.series import Points, merge, summarize
from synapsenet.experiments.wishes import Ending, ExperimentChange, RunChange, RunWish
from synapsenet.platform.records import decode, encode
from synapsenet.testing.clock import NOON
from synapsenet.testing.experiments import experiment, points, run

values = st.floats(allow_nan=True, allow_infinity=True, width=32)


class TestConfigurations:
    def test_equal_numbers_are_one_configuration_and_other_types_are_others(self) -> None:
        ids = [configuration_id({"x": value}) for value in (1, 1.0, True, "1")]
        assert ids[0] == ids[1]
        assert len(set(ids)) == 3
        assert configuration_id({"x": 1e-3}) == configuration_id({"x": 0.001})
        assert configuration_id({"x": -0.0}) == configuration_id({"x": 0})

    def test_integers_that_a_double_cannot_tell_apart_are_two(self) -> None:
        assert configuration_id({"x": 2**60}) != configuration_id({"x": 2**60 + 1})

    def test_the_order_of_the_parameters_says_nothing(self) -> None:
        assert configuration_id({"a": 1, "b": 2}) == configuration_id({"b": 2, "a": 1})

    def test_a_name_and_a_value_cannot_be_mistaken_for_each_other(self) -> None:
        assert configuration_id({"a": "b", "c": "d"}) != configuration_id({"a": "bc", "": "d"})

    @pytest.mark.parametrize("name", ["seed", "random_state", "model.seed", "data.random_seed"])
    def test_a_seed_by_its_name_is_no_part_of_it(self, name: str) -> None:
        assert configuration_id({"lr": 1, name: 3}) == configuration_id({"lr": 1})
        assert role_of(name, ()) is ParameterRole.SEED
        assert seed_of({"lr": 1, name: 3}) == 3

    def test_a_definition_outweighs_the_name(self) -> None:
        definitions = (
            ParameterDefinition(name="seed", role=ParameterRole.TUNED),
            ParameterDefinition(name="host", role=ParameterRole.IGNORED),
        )
        assert tuned({"seed": 1, "host": "a", "lr": 2}, definitions) == {"lr": 2, "seed": 1}

    def test_a_text_or_a_truth_value_is_no_seed(self) -> None:
        assert seed_of({"seed": "a"}) is None
        assert seed_of({"seed": True}) is None

    def test_equal_values_are_spelt_alike(self) -> None:
        assert canonical(3) == canonical(3.0) == ("number", "3.0")


class TestSeries:
    @given(st.lists(st.tuples(st.integers(0, 30), values), min_size=1, max_size=40), st.integers(1, 39))
    def test_a_merged_summary_is_the_summary_of_the_whole(self, cells: list[tuple[int, float]], cut: int) -> None:
        whole = points([value for _, value in cells], [step for step, _ in cells]).ordered()
        if cut >= len(whole):
            return
        shuffled = np.random.default_rng(len(cells)).permutation(len(whole))
        parts = [whole.at(np.sort(part)) for part in (shuffled[:cut], shuffled[cut:])]
        assert str(merge(summarize(parts[0]), summarize(parts[1]))) == str(summarize(whole))
        assert str(merge(summarize(parts[1]), summarize(parts[0]))) == str(summarize(whole))

    def test_of_points_at_one_step_the_first_stays(self) -> None:
        ordered = points([1.0, 2.0, 3.0], [5, 4, 5]).ordered()
        assert (ordered.steps.tolist(), ordered.values.tolist()) == ([4, 5], [2.0, 1.0])

    def test_columns_of_unequal_length_are_refused(self) -> None:
        with pytest.raises(InvalidArgument) as refusal:
            Points(metric="loss", steps=np.zeros(2, np.int64), values=np.zeros(1), times_us=np.zeros(2, np.int64))
        assert refusal.value.reason == "COLUMNS_UNEQUAL"

    def test_a_step_below_zero_is_refused(self) -> None:
        with pytest.raises(InvalidArgument) as refusal:
            points([1.0], [-1])
        assert refusal.value.reason == "STEP_NEGATIVE"


class TestRecords:
    def test_a_run_survives_being_remembered(self) -> None:
        params: dict[str, Parameter] = {"a": 1, "b": 1.0, "c": True, "d": "x", "e": 2**62}
        remembered = decode(type(run(1)), encode(run(1, params, seed=3)))
        assert remembered == run(1, params, seed=3)
        assert [type(value) for value in remembered.params.values()] == [int, float, bool, str, int]

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**63, -(2**63) - 1])
    def test_a_parameter_that_no_database_can_keep_is_refused(self, value: float) -> None:
        with pytest.raises(InvalidArgument) as refusal:
            run(1, {"lr": value})
        assert (refusal.value.reason, refusal.value.field) == ("PARAMETER_NOT_FINITE", "params.lr")

    @pytest.mark.parametrize("name", ["", " lr", "a\nb", "x" * 251])
    def test_a_name_that_people_cannot_read_is_refused(self, name: str) -> None:
        with pytest.raises(InvalidArgument) as refusal:
            run(1, {name: 1})
        assert refusal.value.reason == "NAME_INVALID"

    def test_texts_and_labels_are_bounded(self) -> None:
        with pytest.raises(InvalidArgument, match="text too long"):
            run(1, {"note": "x" * (LONGEST_TEXT + 1)})
        with pytest.raises(InvalidArgument, match="too many labels"):
            run(1, {f"p{number}": 1 for number in range(MOST_LABELS + 1)})
        with pytest.raises(InvalidArgument, match="null character"):
            run(1, tags={"a": "b\0"})

    def test_a_metric_is_defined_once(self) -> None:
        twice = (MetricDefinition(name="loss"), MetricDefinition(name="loss"))
        with pytest.raises(InvalidArgument) as refusal:
            experiment(metric_definitions=twice)
        assert refusal.value.reason == "DEFINED_TWICE"


class TestChanges:
    def test_a_seed_may_be_given_beside_the_parameters(self) -> None:
        assert RunWish(experiment_id="e", seed=5, params={"seed": 3}).started(NOON, experiment(), id="r").seed == 5
        assert RunWish(experiment_id="e", params={"seed": 3}).started(NOON, experiment(), id="r").seed == 3

    def test_a_parameter_given_again_with_an_equal_value_passes(self) -> None:
        assert RunChange(params={"lr": 1.0}).applied(run(1, {"lr": 1}), experiment()).params == {"lr": 1}
        with pytest.raises(FailedPrecondition):
            RunChange(params={"lr": True}).applied(run(1, {"lr": 1}), experiment())

    def test_a_definition_replaces_the_one_of_its_name(self) -> None:
        before = experiment(metric_definitions=(MetricDefinition(name="a"), MetricDefinition(name="b")))
        change = ExperimentChange(metric_definitions=(MetricDefinition(name="a", unit="ms"),))
        after = change.applied(before, NOON)
        assert [(one.name, one.unit) for one in after.metric_definitions] == [("a", "ms"), ("b", "")]

    def test_an_ending_sets_the_time_once(self) -> None:
        later = NOON + timedelta(hours=1)
        ended = Ending(state=RunState.CANCELLED, reason="enough").applied(run(1), later)
        assert (ended.end_time, ended.heartbeat_time, ended.silent_for(later + timedelta(days=1))) == (later, later, 0.0)
        assert Ending(state=RunState.CANCELLED).applied(ended, later + timedelta(hours=1)) is ended


class TestMetricChoice:
    @pytest.mark.parametrize("name", ["accuracy", "val/accuracy", "test_f1", "AUC", "top5", "train.reward"])
    def test_what_is_good_when_high_is_known_by_name(self, name: str) -> None:
        assert direction_by_name(name) is Direction.MAXIMIZE

    @pytest.mark.parametrize("name", ["loss", "val_loss", "RMSE", "latency_ms", "word-error"])
    def test_what_is_good_when_low_is_known_by_name(self, name: str) -> None:
        assert direction_by_name(name) is Direction.MINIMIZE

    @pytest.mark.parametrize("name", ["x", "throughput_loss", "glossary", "accurate"])
    def test_a_name_that_says_nothing_or_both_decides_nothing(self, name: str) -> None:
        assert direction_by_name(name) is None
        assert direction_of(name, []) == (None, DirectionSource.UNKNOWN)

    def defined(self, direction: Direction | None, reducer: Reducer | None = None) -> Experiment:
        return experiment(metric_definitions=(MetricDefinition(name="x", direction=direction, reducer=reducer),))

    def test_definitions_that_disagree_are_a_question_to_the_caller(self) -> None:
        experiments = [self.defined(Direction.MAXIMIZE), self.defined(Direction.MINIMIZE), self.defined(None)]
        with pytest.raises(InvalidArgument) as refusal:
            direction_of("x", experiments)
        assert refusal.value.reason == "DIRECTION_CONFLICT"
        assert direction_of("x", experiments, Direction.MINIMIZE) == (Direction.MINIMIZE, DirectionSource.REQUEST)

    def test_the_best_value_needs_a_direction(self) -> None:
        assert reducer_of("x", [], Direction.MAXIMIZE, Reducer.BEST) is Reducer.MAX
        assert reducer_of("x", [self.defined(None, Reducer.MIN)], None) is Reducer.MIN
        with pytest.raises(InvalidArgument) as refusal:
            reducer_of("x", [], None, Reducer.BEST)
        assert refusal.value.reason == "DIRECTION_UNKNOWN"

    def test_a_series_without_a_finite_value_shows_its_last(self) -> None:
        summary: MetricSummary = summarize(points([math.nan]))
        assert math.isnan(reduced(run(1, metrics={"x": summary}), "x", Reducer.MAX) or 0.0)
        assert reduced(run(1), "x", Reducer.LAST) is None


class TestFieldSelection:
    def test_a_group_named_whole_outweighs_its_parts(self) -> None:
        chosen = parse_fields(["params.lr", "params"])(run(1, {"lr": 1, "b": 2}, tags={"x": "y"}))
        assert (chosen.params, chosen.tags) == ({"lr": 1, "b": 2}, {})

    def test_dotted_names_are_names(self) -> None:
        assert parse_fields(["params.a.b"])(run(1, {"a.b": 1, "a": 2})).params == {"a.b": 1}

    @pytest.mark.parametrize("field", ["lr", "params.", "run.id", ""])
    def test_what_is_no_field_is_refused(self, field: str) -> None:
        with pytest.raises(InvalidArgument) as refusal:
            parse_fields([field])
        assert refusal.value.reason == "FIELD_UNKNOWN"
