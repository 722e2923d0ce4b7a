"""What every adapter of the experiments' records promises."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from synapsenet.errors import AlreadyExists, InvalidArgument
from synapsenet.experiments.configuration import configuration_id
from synapsenet.experiments.model import (
    Direction,
    Experiment,
    MetricDefinition,
    Parameter,
    ParameterDefinition,
    ParameterRole,
    Reducer,
    Run,
    RunState,
)
from synapsenet.experiments.ports import ExperimentsWork, Window
from synapsenet.experiments.series import Logged, Points
from synapsenet.platform.paging import PageRequest
from synapsenet.platform.work import WorkFactory
from synapsenet.testing.clock import NOON

Work = WorkFactory[ExperimentsWork]


def experiment(name: str = "sweep", **changes: Any) -> Experiment:
    """An experiment `exp-NAME` of the default project."""
    made = Experiment(id=f"exp-{name}", project="default", name=name, create_time=NOON, update_time=NOON)
    return replace(made, **changes)


def run(number: int, params: Mapping[str, Parameter] | None = None, **changes: Any) -> Run:
    """The run `run-NUMBER` of `exp-sweep`, started `number` seconds after noon."""
    started = NOON + timedelta(seconds=number)
    made = Run(
        id=f"run-{number:04}",
        experiment_id="exp-sweep",
        params=params or {},
        configuration_id=configuration_id(params or {}),
        create_time=started,
        heartbeat_time=started,
    )
    return replace(made, **changes)


def points(values: Sequence[float], steps: Sequence[int] | None = None, metric: str = "loss") -> Points:
    """One point a step, at 1 µs a step."""
    columns = np.arange(len(values)) if steps is None else np.array(steps)
    return Points(
        metric=metric,
        steps=columns.astype(np.int64),
        values=np.array(values, dtype=np.float64),
        times_us=columns.astype(np.int64),
    )


def storing(*things: Experiment | Run) -> Callable[[ExperimentsWork], None]:
    def commit(tx: ExperimentsWork) -> None:
        for thing in things:
            if isinstance(thing, Run):
                tx.runs.add(thing)
            else:
                tx.experiments.add(thing)

    return commit


async def log(work: Work, run_id: str, *series: Points) -> Logged:
    return await work.run(lambda tx: sum((tx.series.add(run_id, each) for each in series), Logged()))


async def found(work: Work, run_id: str) -> Run:
    run = await work.read(lambda tx: tx.runs.find(run_id))
    assert run is not None
    return run


class ExperimentRecordsContract:
    """Experiments and runs; run over every adapter by a class that provides the fixture `work`."""

    async def test_an_experiment_is_found_whole(self, work: Work) -> None:
        whole = experiment(
            description="which rate",
            tags={"team": "vision", "ключ": "значение"},
            metric_definitions=(MetricDefinition(name="loss", direction=Direction.MINIMIZE, reducer=Reducer.MIN, unit="nat"),),
            parameter_definitions=(ParameterDefinition(name="fold", role=ParameterRole.SEED),),
        )
        await work.run(storing(whole))
        assert await work.read(lambda tx: tx.experiments.find(["exp-sweep", "exp-none"])) == {"exp-sweep": whole}

    async def test_a_name_is_taken_once_in_a_project_and_free_in_another(self, work: Work) -> None:
        await work.run(storing(experiment()))
        await work.run(storing(experiment(id="exp-b", project="other")))
        with pytest.raises(AlreadyExists) as refusal:
            await work.run(storing(experiment(id="exp-c")))
        assert (refusal.value.reason, refusal.value.metadata) == ("EXPERIMENT_NAME_TAKEN", {"experiment_id": "exp-sweep"})

    async def test_a_replaced_experiment_may_keep_its_name_and_not_take_anothers(self, work: Work) -> None:
        await work.run(storing(experiment(), experiment("other")))
        changed = experiment(description="new", tags={"a": "b"})
        await work.run(lambda tx: tx.experiments.replace(changed))
        assert (await work.read(lambda tx: tx.experiments.find(["exp-sweep"])))["exp-sweep"] == changed
        with pytest.raises(AlreadyExists):
            await work.run(lambda tx: tx.experiments.replace(replace(changed, name="other")))

    async def test_experiments_are_paged_newest_first_and_insertions_meanwhile_repeat_nothing(self, work: Work) -> None:
        made = [experiment(f"e{number}", create_time=NOON + timedelta(seconds=number)) for number in range(5)]
        await work.run(storing(*made))
        first = await work.read(lambda tx: tx.experiments.page("default", PageRequest(size=2)))
        await work.run(storing(experiment("late", create_time=NOON + timedelta(hours=1))))
        second = await work.read(lambda tx: tx.experiments.page("default", PageRequest(size=3, token=first.next_token)))
        assert [one.name for one in first.items + second.items] == ["e4", "e3", "e2", "e1", "e0"]
        assert not second.next_token

    async def test_a_page_of_a_project_leaves_the_others_out(self, work: Work) -> None:
        await work.run(storing(experiment(), experiment("b", project="other")))
        assert [one.name for one in (await work.read(lambda tx: tx.experiments.page("other", PageRequest()))).items] == ["b"]
        assert len((await work.read(lambda tx: tx.experiments.page("", PageRequest()))).items) == 2

    async def test_a_run_is_found_whole_with_the_types_of_its_parameters(self, work: Work) -> None:
        whole = run(
            1,
            {"lr": 0.1, "layers": 3, "big": 2**62 + 1, "name": "adam", "warm": True, "cold": False, "empty": "", "one": 1.0},
            seed=-7,
            name="first",
            tags={"host": "a"},
            state=RunState.FAILED,
            state_reason="out of memory",
            end_time=NOON + timedelta(hours=1),
        )
        await work.run(storing(experiment(), whole))
        kept = await found(work, whole.id)
        assert kept == whole
        assert {name: type(value) for name, value in kept.params.items()} == {
            name: type(value) for name, value in whole.params.items()
        }

    async def test_a_replaced_run_is_read_as_it_is_now_and_keeps_its_series(self, work: Work) -> None:
        await work.run(storing(experiment(), run(1, {"a": 1}, tags={"x": "y"})))
        await log(work, "run-0001", points([0.5]))
        changed = run(1, {"b": "two"}, tags={}, state=RunState.FINISHED, end_time=NOON)
        await work.run(lambda tx: tx.runs.replace(changed))
        kept = await found(work, "run-0001")
        assert (kept.params, kept.tags, kept.state) == ({"b": "two"}, {}, RunState.FINISHED)
        assert kept.metrics["loss"].last == 0.5

    async def test_hearing_of_a_run_moves_its_heartbeat_alone(self, work: Work) -> None:
        await work.run(storing(experiment(), run(1)))
        later = NOON + timedelta(minutes=5)
        assert await work.run(lambda tx: tx.runs.heard("run-0001", later)) is RunState.RUNNING
        assert await found(work, "run-0001") == replace(run(1), heartbeat_time=later)
        assert await work.run(lambda tx: tx.runs.heard("run-none", later)) is None

    async def test_runs_are_paged_by_state_and_configuration(self, work: Work) -> None:
        runs = [run(number, {"lr": number % 2}, state=list(RunState)[number % 3]) for number in range(12)]
        await work.run(storing(experiment(), experiment("other"), *runs, run(99, experiment_id="exp-other")))
        wanted = configuration_id({"lr": 1})
        page = PageRequest(size=10)
        chosen = await work.read(lambda tx: tx.runs.page("exp-sweep", page, states=[RunState.FAILED], configuration_id=wanted))
        assert [one.id for one in chosen.items] == ["run-0011", "run-0005"]
        assert await work.read(lambda tx: tx.runs.count("exp-sweep")) == 12

    async def test_runs_of_several_experiments_come_by_experiment_within_the_limit(self, work: Work) -> None:
        await work.run(storing(experiment(), experiment("b"), run(1), run(3), run(2, experiment_id="exp-b")))
        grouped = await work.read(lambda tx: tx.runs.of({"exp-sweep", "exp-b", "exp-none"}, limit=10))
        assert {name: [one.id for one in runs] for name, runs in grouped.items()} == {
            "exp-sweep": ["run-0001", "run-0003"],
            "exp-b": ["run-0002"],
        }
        fewer = await work.read(lambda tx: tx.runs.of({"exp-sweep", "exp-b"}, limit=2))
        assert sum(map(len, fewer.values())) == 2

    async def test_configurations_are_counted_and_paged(self, work: Work) -> None:
        await work.run(storing(experiment(), *(run(number, {"lr": number % 3}) for number in range(7))))
        first = await work.read(lambda tx: tx.runs.configurations("exp-sweep", PageRequest(size=2)))
        rest = await work.read(lambda tx: tx.runs.configurations("exp-sweep", PageRequest(size=2, token=first.next_token)))
        listed = first.items + rest.items
        assert [one.id for one in listed] == sorted(configuration_id({"lr": value}) for value in range(3))
        assert {one.params["lr"]: one.run_count for one in listed} == {0: 3, 1: 2, 2: 2}

    async def test_a_deleted_experiment_takes_its_runs_and_series_along(self, work: Work) -> None:
        await work.run(storing(experiment(), experiment("kept"), run(1, {"a": 1}), run(2, experiment_id="exp-kept")))
        await log(work, "run-0001", points([1.0, 2.0]))
        await log(work, "run-0002", points([3.0]))
        await work.run(lambda tx: tx.experiments.delete("exp-sweep"))
        assert await work.read(lambda tx: tx.runs.find("run-0001")) is None
        assert len(await work.read(lambda tx: tx.series.read("run-0001", "loss", Window(), limit=10))) == 0
        assert (await found(work, "run-0002")).metrics["loss"].last == 3.0

    async def test_a_deleted_run_is_gone_with_its_series(self, work: Work) -> None:
        await work.run(storing(experiment(), run(1)))
        await log(work, "run-0001", points([1.0]))
        await work.run(lambda tx: tx.runs.delete("run-0001"))
        assert await work.read(lambda tx: tx.runs.find("run-0001")) is None
        assert len(await work.read(lambda tx: tx.series.read("run-0001", "loss", Window(), limit=10))) == 0

    async def test_a_failed_unit_of_work_leaves_nothing(self, work: Work) -> None:
        def commit(tx: ExperimentsWork) -> None:
            storing(experiment(), run(1))(tx)
            tx.series.add("run-0001", points([1.0]))
            raise InvalidArgument("STOP")

        with pytest.raises(InvalidArgument):
            await work.run(commit)
        assert await work.read(lambda tx: tx.experiments.find(["exp-sweep"])) == {}


class SeriesContract:
    """Metric series; run over every adapter by a class that provides the fixture `work`."""

    @pytest.fixture(autouse=True)
    async def _a_run(self, work: Work) -> None:
        await work.run(storing(experiment(), run(1), run(2)))

    async def values(self, work: Work, window: Window | None = None, limit: int = 100) -> dict[int, float]:
        read = await work.read(lambda tx: tx.series.read("run-0001", "loss", window or Window(), limit=limit))
        return dict(zip(read.steps.tolist(), read.values.tolist(), strict=True))

    async def test_points_come_back_by_step_with_their_times(self, work: Work) -> None:
        assert await log(work, "run-0001", points([3.0, 1.0, 2.0], [30, 10, 20])) == Logged(stored=3)
        read = await work.read(lambda tx: tx.series.read("run-0001", "loss", Window(), limit=10))
        assert read.steps.tolist() == read.times_us.tolist() == [10, 20, 30]
        assert read.values.tolist() == [1.0, 2.0, 3.0]

    async def test_the_first_value_of_a_step_stays(self, work: Work) -> None:
        assert await log(work, "run-0001", points([1.0, 9.0, 2.0], [5, 5, 6])) == Logged(stored=2, repeated=1)
        assert await log(work, "run-0001", points([7.0, 8.0, 3.0], [6, 5, 7])) == Logged(stored=1, repeated=2)
        assert await self.values(work) == {5: 1.0, 6: 2.0, 7: 3.0}

    async def test_logging_again_changes_nothing(self, work: Work) -> None:
        series = points([0.5, math.nan, 2.0])
        await log(work, "run-0001", series)
        before = (await found(work, "run-0001")).metrics["loss"]
        assert await log(work, "run-0001", series) == Logged(repeated=3)
        assert str((await found(work, "run-0001")).metrics["loss"]) == str(before)

    async def test_steps_between_older_ones_find_their_place(self, work: Work) -> None:
        await log(work, "run-0001", points([0.0, 10.0], [0, 10]))
        await log(work, "run-0001", points([5.0], [5]))
        assert list(await self.values(work)) == [0, 5, 10]
        assert (await found(work, "run-0001")).metrics["loss"].last == 10.0

    async def test_non_finite_values_are_kept_as_such(self, work: Work) -> None:
        await log(work, "run-0001", points([math.nan, math.inf, -math.inf, 1.0]))
        values = list((await self.values(work)).values())
        assert math.isnan(values[0])
        assert values[1:] == [math.inf, -math.inf, 1.0]

    async def test_the_summary_is_that_of_all_points_however_they_came(self, work: Work) -> None:
        random = np.random.default_rng(5)
        values = np.where(random.random(200) < 0.1, np.nan, random.normal(size=200))
        values[[3, 150]] = math.inf, -math.inf
        order = random.permutation(200)
        for part in np.array_split(order, 7):
            await log(work, "run-0001", points(values[part].tolist(), part.tolist()))
        summary = (await found(work, "run-0001")).metrics["loss"]
        finite = np.where(np.isfinite(values), values, np.nan)
        assert (summary.count, summary.first_step, summary.last_step) == (200, 0, 199)
        assert (summary.nan_count, summary.infinite_count) == (int(np.isnan(values).sum()), 2)
        assert (summary.min, summary.min_step) == (float(np.nanmin(finite)), int(np.nanargmin(finite)))
        assert (summary.max, summary.max_step) == (float(np.nanmax(finite)), int(np.nanargmax(finite)))
        assert summary.last == pytest.approx(values[-1], nan_ok=True)

    async def test_an_all_nan_series_has_neither_lowest_nor_highest(self, work: Work) -> None:
        await log(work, "run-0001", points([math.nan, math.nan]))
        summary = (await found(work, "run-0001")).metrics["loss"]
        assert (summary.min, summary.max, summary.nan_count) == (None, None, 2)
        assert math.isnan(summary.last)

    async def test_a_window_and_a_limit_bound_what_is_read(self, work: Work) -> None:
        await log(work, "run-0001", points([float(step) for step in range(20)]))
        assert list(await self.values(work, Window(start=5, end=9))) == [5, 6, 7, 8]
        assert list(await self.values(work, Window(start=15), limit=3)) == [15, 16, 17]

    async def test_series_of_other_runs_and_metrics_are_apart(self, work: Work) -> None:
        await log(work, "run-0001", points([1.0]), points([2.0], metric="train/accuracy"))
        await log(work, "run-0002", points([3.0]))
        assert await self.values(work) == {0: 1.0}
        assert sorted((await found(work, "run-0001")).metrics) == ["loss", "train/accuracy"]

    async def test_no_points_leave_no_series(self, work: Work) -> None:
        assert await log(work, "run-0001", points([])) == Logged()
        assert (await found(work, "run-0001")).metrics == {}

    async def test_a_large_step_and_a_tiny_value_survive(self, work: Work) -> None:
        await log(work, "run-0001", points([5e-324], [2**62]))
        assert await self.values(work) == {2**62: 5e-324}
