"""Tracking: what people and training jobs do with experiments and runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, InvalidArgument, NotFound
from synapsenet.experiments.configuration import Configuration
from synapsenet.experiments.existence import existing, existing_run, unknown_run
from synapsenet.experiments.happenings import ExperimentCreated, ExperimentDeleted, RunDeleted, RunEnded, RunStarted
from synapsenet.experiments.model import Experiment, Run, RunState
from synapsenet.experiments.options import ExperimentsOptions
from synapsenet.experiments.ports import ExperimentsWork, Window
from synapsenet.experiments.series import Logged, Points
from synapsenet.experiments.wishes import Ending, ExperimentChange, ExperimentWish, RunChange, RunWish
from synapsenet.ids import IdSource
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.work import Request, WorkFactory

HISTORY_CHUNK = 8192


class Experiments:
    """Records experiments, runs and metric series."""

    def __init__(
        self,
        *,
        work: WorkFactory[ExperimentsWork],
        clock: Clock,
        experiment_ids: IdSource,
        run_ids: IdSource,
        options: ExperimentsOptions,
    ) -> None:
        self._work = work
        self._clock = clock
        self._experiment_ids = experiment_ids
        self._run_ids = run_ids
        self._options = options

    async def create(self, wish: ExperimentWish, request: Request) -> Experiment:
        """A new experiment.

        Raises:
            AlreadyExists: EXPERIMENT_NAME_TAKEN, or REQUEST_ID_REUSED.
            InvalidArgument: a name, label or definition is not acceptable.
        """
        experiment = wish.created(self._clock.now(), id=self._experiment_ids.next())

        def commit(tx: ExperimentsWork) -> Experiment:
            def make() -> Experiment:
                tx.experiments.add(experiment)
                happening = ExperimentCreated(experiment_id=experiment.id, project=experiment.project, name=experiment.name)
                tx.events.append(f"experiment/{experiment.id}", happening)
                return experiment

            return tx.once(request, Experiment, make)

        return await self._work.run(commit)

    async def get(self, experiment_id: str) -> Experiment:
        """Raises NotFound EXPERIMENT_UNKNOWN."""
        return await self._work.read(lambda tx: existing(tx, experiment_id))

    async def list(self, project: str, page: PageRequest) -> Page[Experiment]:
        """Experiments of a project, or of all, the newest first."""
        return await self._work.read(lambda tx: tx.experiments.page(project, page))

    async def update(self, experiment_id: str, change: ExperimentChange) -> Experiment:
        """The changed experiment.

        Raises:
            NotFound: EXPERIMENT_UNKNOWN.
            AlreadyExists: EXPERIMENT_NAME_TAKEN.
        """
        now = self._clock.now()

        def commit(tx: ExperimentsWork) -> Experiment:
            changed = change.applied(existing(tx, experiment_id), now)
            tx.experiments.replace(changed)
            return changed

        return await self._work.run(commit)

    async def delete(self, experiment_id: str, *, force: bool) -> None:
        """Forget the experiment; with `force` its runs as well.

        Raises:
            NotFound: EXPERIMENT_UNKNOWN.
            FailedPrecondition: EXPERIMENT_HAS_RUNS, and `force` was not given.
        """

        def commit(tx: ExperimentsWork) -> None:
            existing(tx, experiment_id)
            runs = tx.runs.count(experiment_id)
            if runs and not force:
                raise FailedPrecondition(
                    "EXPERIMENT_HAS_RUNS",
                    f"{experiment_id} has {runs} runs",
                    field="force",
                    remedy="delete it with force to lose them as well",
                )
            tx.experiments.delete(experiment_id)
            tx.events.append(f"experiment/{experiment_id}", ExperimentDeleted(experiment_id=experiment_id))

        await self._work.run(commit)

    async def configurations(self, experiment_id: str, page: PageRequest) -> Page[Configuration]:
        """The configurations of the experiment, ordered by id. Raises NotFound EXPERIMENT_UNKNOWN."""

        def query(tx: ExperimentsWork) -> Page[Configuration]:
            return tx.runs.configurations(existing(tx, experiment_id).id, page)

        return await self._work.read(query)

    async def start_run(self, wish: RunWish, request: Request) -> Run:
        """A new run.

        Raises:
            NotFound: EXPERIMENT_UNKNOWN.
            AlreadyExists: REQUEST_ID_REUSED.
            InvalidArgument: a name, label or hyperparameter is not acceptable.
        """
        now, run_id = self._clock.now(), self._run_ids.next()

        def commit(tx: ExperimentsWork) -> Run:
            def make() -> Run:
                run = wish.started(now, existing(tx, wish.experiment_id), id=run_id)
                tx.runs.add(run)
                happening = RunStarted(run_id=run.id, experiment_id=run.experiment_id, configuration_id=run.configuration_id)
                tx.events.append(f"run/{run.id}", happening)
                return run

            return tx.once(request, Run, make)

        return await self._work.run(commit)

    async def get_run(self, run_id: str) -> Run:
        """Raises NotFound RUN_UNKNOWN."""
        return await self._work.read(lambda tx: existing_run(tx, run_id))

    async def list_runs(
        self, experiment_id: str, page: PageRequest, *, states: Collection[RunState] = (), configuration_id: str = ""
    ) -> Page[Run]:
        """The runs of the experiment, the newest first. Raises NotFound EXPERIMENT_UNKNOWN."""

        def query(tx: ExperimentsWork) -> Page[Run]:
            existing(tx, experiment_id)
            return tx.runs.page(experiment_id, page, states=states, configuration_id=configuration_id)

        return await self._work.read(query)

    async def update_run(self, run_id: str, change: RunChange) -> Run:
        """The changed run.

        Raises:
            NotFound: RUN_UNKNOWN.
            FailedPrecondition: PARAMETER_FIXED, a hyperparameter would change.
        """

        def commit(tx: ExperimentsWork) -> Run:
            run = existing_run(tx, run_id)
            changed = change.applied(run, existing(tx, run.experiment_id))
            tx.runs.replace(changed)
            return changed

        return await self._work.run(commit)

    async def delete_run(self, run_id: str) -> None:
        """Forget the run and its series. Raises NotFound RUN_UNKNOWN."""

        def commit(tx: ExperimentsWork) -> None:
            run = existing_run(tx, run_id)
            tx.runs.delete(run_id)
            tx.events.append(f"run/{run_id}", RunDeleted(run_id=run_id, experiment_id=run.experiment_id))

        await self._work.run(commit)

    async def finish_run(self, run_id: str, ending: Ending) -> Run:
        """The ended run; ending it twice in the same way changes nothing.

        Raises:
            NotFound: RUN_UNKNOWN.
            FailedPrecondition: RUN_ENDED, it ended in another way before.
        """
        now = self._clock.now()

        def commit(tx: ExperimentsWork) -> Run:
            run = existing_run(tx, run_id)
            ended = ending.applied(run, now)
            if ended is not run:
                tx.runs.replace(ended)
                happening = RunEnded(run_id=run_id, experiment_id=run.experiment_id, state=ended.state)
                tx.events.append(f"run/{run_id}", happening)
            return ended

        return await self._work.run(commit)

    async def heartbeat(self, run_id: str) -> RunState:
        """Note that the run is alive; where it stands. Raises NotFound RUN_UNKNOWN."""
        return await self._work.run(lambda tx: self._hear(tx, run_id))

    async def log(self, run_id: str, series: Sequence[Points]) -> Logged:
        """Keep points of the run, all or none, durable on return; the first value of a step stays.

        Raises:
            NotFound: RUN_UNKNOWN.
            InvalidArgument: MESSAGE_TOO_MANY_POINTS.
        """
        count = sum(map(len, series))
        if count > self._options.largest_message_points:
            raise InvalidArgument(
                "MESSAGE_TOO_MANY_POINTS",
                f"points: {count} in one message",
                field="points",
                remedy=f"send at most {self._options.largest_message_points} in one message",
            )

        def commit(tx: ExperimentsWork) -> Logged:
            self._hear(tx, run_id)
            return sum((tx.series.add(run_id, points) for points in series), Logged())

        return await self._work.run(commit)

    async def history(self, run_id: str, metric: str, window: Window, page: PageRequest) -> Page[tuple[int, float, int]]:
        """A page of a series as (step, value, time in µs), by step.

        Raises:
            NotFound: RUN_UNKNOWN, or METRIC_NOT_LOGGED.
        """
        if page.after is not None:
            window = replace(window, start=int(page.after[0]) + 1)

        def query(tx: ExperimentsWork) -> Points:
            self._existing_series(tx, run_id, metric)
            return tx.series.read(run_id, metric, window, limit=page.limit + 1)

        points = await self._work.read(query)
        rows = list(zip(points.steps.tolist(), points.values.tolist(), points.times_us.tolist(), strict=True))
        return page.page(rows, lambda row: [row[0]])

    async def stream_history(self, run_id: str, metric: str, window: Window) -> AsyncIterator[Points]:
        """The whole series in chunks, by step; points that are logged meanwhile may be among them.

        Raises:
            NotFound: RUN_UNKNOWN, or METRIC_NOT_LOGGED.
        """
        await self._work.read(lambda tx: self._existing_series(tx, run_id, metric))
        full = True
        while full:
            points = await self._work.read(_reading(run_id, metric, window))
            full = len(points) == HISTORY_CHUNK
            if len(points):
                yield points
                window = replace(window, start=int(points.steps[-1]) + 1)

    def stale(self, run: Run) -> bool:
        """It should be running and has been silent for too long."""
        return run.silent_for(self._clock.now()) > self._options.heartbeat_timeout_s

    def _hear(self, tx: ExperimentsWork, run_id: str) -> RunState:
        state = tx.runs.heard(run_id, self._clock.now())
        if state is None:
            raise unknown_run(run_id)
        return state

    @staticmethod
    def _existing_series(tx: ExperimentsWork, run_id: str, metric: str) -> None:
        if metric not in existing_run(tx, run_id).metrics:
            raise NotFound(
                "METRIC_NOT_LOGGED",
                f"{run_id} has no points of {metric}",
                field="metric",
                remedy="look at the run's metrics for their names",
                metadata={"run_id": run_id, "metric": metric},
            )


def _reading(run_id: str, metric: str, window: Window) -> Callable[[ExperimentsWork], Points]:
    return lambda tx: tx.series.read(run_id, metric, window, limit=HISTORY_CHUNK)
