"""What tracking does, whatever it is kept in."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synapsenet.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, SynapseError
from synapsenet.experiments.configuration import configuration_id
from synapsenet.experiments.model import (
    EXPERIMENT_IDS,
    RUN_IDS,
    Direction,
    Experiment,
    MetricDefinition,
    Parameter,
    ParameterDefinition,
    ParameterRole,
    Run,
    RunState,
)
from synapsenet.experiments.options import ExperimentsOptions
from synapsenet.experiments.ports import Window
from synapsenet.experiments.series import Logged
from synapsenet.experiments.service import HISTORY_CHUNK, Experiments
from synapsenet.experiments.wishes import Ending, ExperimentChange, ExperimentWish, RunChange, RunWish
from synapsenet.ids import SeededIds
from synapsenet.platform.paging import PageRequest
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.testing.clock import NOON, FakeClock
from synapsenet.testing.experiments import Work, points

NEVER = "exp-0000000000000000"


def tracking(work: Work, clock: FakeClock, options: ExperimentsOptions | None = None) -> Experiments:
    """The service over `work`, with seeded ids."""
    return Experiments(
        work=work,
        clock=clock,
        experiment_ids=SeededIds(EXPERIMENT_IDS, 1),
        run_ids=SeededIds(RUN_IDS, 1),
        options=options or ExperimentsOptions(),
    )


def reason(refusal: pytest.ExceptionInfo[SynapseError]) -> str:
    return refusal.value.reason


class TrackingContract:
    """Run by a class that provides the fixtures `work` and `clock`."""

    @pytest.fixture
    def experiments(self, work: Work, clock: FakeClock) -> Experiments:
        return tracking(work, clock)

    @pytest.fixture
    async def sweep(self, experiments: Experiments) -> Experiment:
        return await experiments.create(ExperimentWish(name="sweep"), ANONYMOUS)

    @pytest.fixture
    async def started(self, experiments: Experiments, sweep: Experiment) -> Run:
        return await experiments.start_run(RunWish(experiment_id=sweep.id, params={"lr": 0.1, "seed": 7}), ANONYMOUS)

    async def test_a_created_experiment_is_of_the_default_project(self, experiments: Experiments, sweep: Experiment) -> None:
        assert (sweep.project, sweep.create_time) == ("default", NOON)
        assert await experiments.get(sweep.id) == sweep
        assert (await experiments.list("", PageRequest())).items == (sweep,)

    async def test_a_retried_creation_answers_as_the_first_time(self, experiments: Experiments) -> None:
        request, wish = Request("r", b"digest"), ExperimentWish(name="sweep", tags={"a": "b"})
        first = await experiments.create(wish, request)
        assert await experiments.create(wish, request) == first
        with pytest.raises(AlreadyExists) as refusal:
            await experiments.create(wish, Request("r", b"another"))
        assert reason(refusal) == "REQUEST_ID_REUSED"

    async def test_a_retried_run_is_one_run_with_the_types_of_its_parameters(
        self, experiments: Experiments, sweep: Experiment
    ) -> None:
        wish = RunWish(experiment_id=sweep.id, params={"a": 1, "b": 1.0, "c": True, "d": "x"})
        first = await experiments.start_run(wish, Request("r", b"digest"))
        again = await experiments.start_run(wish, Request("r", b"digest"))
        assert again == first
        assert [type(value) for value in again.params.values()] == [int, float, bool, str]
        assert len((await experiments.list_runs(sweep.id, PageRequest())).items) == 1

    async def test_an_update_changes_only_what_it_names(
        self, experiments: Experiments, sweep: Experiment, clock: FakeClock
    ) -> None:
        await experiments.update(sweep.id, ExperimentChange(set_tags={"a": "1", "b": "2"}))
        await clock.advance(5)
        loss = MetricDefinition(name="loss", direction=Direction.MINIMIZE)
        change = ExperimentChange(description="rates", remove_tags=["a", "none"], metric_definitions=(loss,))
        changed = await experiments.update(sweep.id, change)
        assert (changed.name, changed.description, changed.tags) == ("sweep", "rates", {"b": "2"})
        assert changed.metric_definitions == (loss,)
        assert (changed.update_time - NOON).total_seconds() == 5
        assert await experiments.get(sweep.id) == changed

    async def test_an_experiment_with_runs_is_deleted_only_by_force(
        self, experiments: Experiments, sweep: Experiment, started: Run
    ) -> None:
        with pytest.raises(FailedPrecondition) as refusal:
            await experiments.delete(sweep.id, force=False)
        assert reason(refusal) == "EXPERIMENT_HAS_RUNS"
        await experiments.delete(sweep.id, force=True)
        with pytest.raises(NotFound):
            await experiments.get_run(started.id)

    async def test_what_does_not_exist_is_named(self, experiments: Experiments) -> None:
        calls = [
            experiments.get(NEVER),
            experiments.update(NEVER, ExperimentChange()),
            experiments.delete(NEVER, force=True),
            experiments.configurations(NEVER, PageRequest()),
            experiments.list_runs(NEVER, PageRequest()),
            experiments.start_run(RunWish(experiment_id=NEVER), ANONYMOUS),
            experiments.get_run(NEVER),
            experiments.update_run(NEVER, RunChange()),
            experiments.delete_run(NEVER),
            experiments.finish_run(NEVER, Ending()),
            experiments.heartbeat(NEVER),
            experiments.log(NEVER, [points([1.0])]),
            experiments.history(NEVER, "loss", Window(), PageRequest()),
        ]
        for call in calls:
            with pytest.raises(NotFound, match=NEVER):
                await call

    async def test_a_runs_configuration_leaves_its_seed_out(self, started: Run) -> None:
        assert started.seed == 7
        assert started.configuration_id == configuration_id({"lr": 0.1})

    async def test_an_experiment_says_which_parameters_are_seeds(self, experiments: Experiments) -> None:
        fold = ParameterDefinition(name="fold", role=ParameterRole.SEED)
        host = ParameterDefinition(name="host", role=ParameterRole.IGNORED)
        wish = ExperimentWish(name="folds", parameter_definitions=(fold, host))
        folds = await experiments.create(wish, ANONYMOUS)
        for number in range(3):
            params: dict[str, Parameter] = {"lr": 0.1, "fold": number, "host": f"h{number}"}
            await experiments.start_run(RunWish(experiment_id=folds.id, params=params), ANONYMOUS)
        (only,) = (await experiments.configurations(folds.id, PageRequest())).items
        assert (only.id, only.run_count) == (configuration_id({"lr": 0.1}), 3)

    async def test_parameters_may_be_added_and_not_changed(self, experiments: Experiments, started: Run) -> None:
        changed = await experiments.update_run(started.id, RunChange(name="first", params={"momentum": 0.9, "lr": 0.1}))
        assert changed.params == {"lr": 0.1, "seed": 7, "momentum": 0.9}
        assert changed.configuration_id == configuration_id({"lr": 0.1, "momentum": 0.9})
        with pytest.raises(FailedPrecondition) as refusal:
            await experiments.update_run(started.id, RunChange(params={"lr": 0.2}))
        assert (reason(refusal), refusal.value.field) == ("PARAMETER_FIXED", "add_params.lr")
        assert await experiments.get_run(started.id) == changed

    async def test_a_run_ends_once_and_in_one_way(self, experiments: Experiments, started: Run, clock: FakeClock) -> None:
        await clock.advance(60)
        ended = await experiments.finish_run(started.id, Ending(state=RunState.FAILED, reason="out of memory"))
        assert (ended.state, ended.state_reason) == (RunState.FAILED, "out of memory")
        await clock.advance(60)
        assert await experiments.finish_run(started.id, Ending(state=RunState.FAILED)) == ended
        with pytest.raises(FailedPrecondition) as refusal:
            await experiments.finish_run(started.id, Ending())
        assert reason(refusal) == "RUN_ENDED"
        with pytest.raises(InvalidArgument):
            await experiments.finish_run(started.id, Ending(state=RunState.RUNNING))

    async def test_a_silent_run_is_stale_until_it_is_heard_of(
        self, experiments: Experiments, started: Run, clock: FakeClock
    ) -> None:
        await clock.advance(61)
        assert experiments.stale(await experiments.get_run(started.id))
        assert await experiments.heartbeat(started.id) is RunState.RUNNING
        assert not experiments.stale(await experiments.get_run(started.id))
        await clock.advance(61)
        await experiments.log(started.id, [points([1.0])])
        assert not experiments.stale(await experiments.get_run(started.id))
        await clock.advance(61)
        assert not experiments.stale(await experiments.finish_run(started.id, Ending()))

    async def test_an_ended_run_still_takes_points(self, experiments: Experiments, started: Run) -> None:
        await experiments.finish_run(started.id, Ending())
        assert await experiments.log(started.id, [points([1.0])]) == Logged(stored=1)

    async def test_a_message_is_stored_whole_or_not_at_all(self, work: Work, clock: FakeClock) -> None:
        experiments = tracking(work, clock, ExperimentsOptions(largest_message_points=5))
        sweep = await experiments.create(ExperimentWish(name="sweep"), ANONYMOUS)
        started = await experiments.start_run(RunWish(experiment_id=sweep.id), ANONYMOUS)
        with pytest.raises(InvalidArgument) as refusal:
            await experiments.log(started.id, [points([1.0] * 3), points([1.0] * 3, metric="accuracy")])
        assert reason(refusal) == "MESSAGE_TOO_MANY_POINTS"
        assert (await experiments.get_run(started.id)).metrics == {}

    async def test_history_comes_in_pages_and_as_a_stream(self, experiments: Experiments, started: Run) -> None:
        count = HISTORY_CHUNK + 10
        await experiments.log(started.id, [points(np.arange(count).tolist())])
        first = await experiments.history(started.id, "loss", Window(start=5), PageRequest(size=3))
        page = PageRequest(size=2, token=first.next_token)
        second = await experiments.history(started.id, "loss", Window(start=5), page)
        assert [step for step, _, _ in first.items + second.items] == [5, 6, 7, 8, 9]
        chunks = [chunk async for chunk in experiments.stream_history(started.id, "loss", Window())]
        assert [len(chunk) for chunk in chunks] == [HISTORY_CHUNK, 10]
        assert np.concatenate([chunk.steps for chunk in chunks]).tolist() == list(range(count))

    async def test_the_history_of_a_metric_never_logged_is_refused(self, experiments: Experiments, started: Run) -> None:
        with pytest.raises(NotFound) as refusal:
            await experiments.history(started.id, "none", Window(), PageRequest())
        assert reason(refusal) == "METRIC_NOT_LOGGED"
        with pytest.raises(NotFound):
            _ = [chunk async for chunk in experiments.stream_history(started.id, "none", Window())]

    async def test_a_nan_that_was_logged_is_read_as_one(self, experiments: Experiments, started: Run) -> None:
        await experiments.log(started.id, [points([math.nan])])
        ((_, value, _),) = (await experiments.history(started.id, "loss", Window(), PageRequest())).items
        assert math.isnan(value)
