"""Experiments, their runs and metric series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1.experiment_pb2 import Configuration, Experiment
from synapsenet_api.experiments.v1.metric_pb2 import Direction, MetricDefinition, MetricPoints
from synapsenet_api.experiments.v1.parameter_pb2 import ParameterDefinition
from synapsenet_api.experiments.v1.run_pb2 import Run, RunState
from synapsenet_client._analysis import AnalysisMethods
from synapsenet_client._calls import Ask, Asyncio, Blocking, Download, Pages, Upload, answering, paging
from synapsenet_client._enums import enum_value, enum_values
from synapsenet_client._parameters import parameter_values
from synapsenet_client._run import AsyncLoggedRun, LoggedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The points of one metric of one run, ordered by step; the three columns are equally long.

    Attributes:
        metric: its name.
        steps: from 0.
        values: NaN and infinities as they were logged.
        times_us: when they were logged, microseconds since 1970-01-01T00:00:00Z.
    """

    metric: str
    steps: list[int]
    values: list[float]
    times_us: list[int]


class ExperimentMethods:
    """Experiments are named by their ids."""

    @answering
    def create(
        self,
        name: str,
        *,
        project: str = "",
        description: str = "",
        tags: Mapping[str, str] | None = None,
        maximize: Iterable[str] = (),
        minimize: Iterable[str] = (),
        metric_definitions: Iterable[MetricDefinition] = (),
        parameter_definitions: Iterable[ParameterDefinition] = (),
        request_id: str = "",
    ) -> Ask[pb.CreateExperimentResponse, Experiment]:
        """Create an experiment.

        Args:
            name: unique in the project.
            project: empty: `default`.
            description: for people.
            tags: free labels.
            maximize: metrics of which more is better.
            minimize: metrics of which less is better.
            metric_definitions: what more is known of metrics.
            parameter_definitions: roles and scales of hyperparameters.
            request_id: the same for every attempt at this creation; made up if empty.
        """
        directions = [
            *(MetricDefinition(name=metric, direction=Direction.DIRECTION_MAXIMIZE) for metric in maximize),
            *(MetricDefinition(name=metric, direction=Direction.DIRECTION_MINIMIZE) for metric in minimize),
        ]
        return Ask(
            pb.CreateExperimentRequest(
                name=name,
                project=project,
                description=description,
                tags=tags or {},
                metric_definitions=[*metric_definitions, *directions],
                parameter_definitions=parameter_definitions,
                request_id=request_id,
            ),
            lambda answer: answer.experiment,
        )

    @answering
    def get(self, experiment_id: str) -> Ask[pb.GetExperimentResponse, Experiment]:
        """One experiment."""
        return Ask(pb.GetExperimentRequest(experiment_id=experiment_id), lambda answer: answer.experiment)

    @paging
    def list(self, *, project: str = "", page_size: int = 0) -> Pages[pb.ListExperimentsResponse, Experiment]:
        """Experiments, the newest first."""
        request = pb.ListExperimentsRequest(project=project, page_size=page_size)
        return Pages(request, lambda page: page.experiments)

    @answering
    def update(
        self,
        experiment_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        set_tags: Mapping[str, str] | None = None,
        remove_tags: Iterable[str] = (),
        set_metric_definitions: Iterable[MetricDefinition] = (),
    ) -> Ask[pb.UpdateExperimentResponse, Experiment]:
        """Change what is given; None leaves a field as it is."""
        request = pb.UpdateExperimentRequest(
            experiment_id=experiment_id,
            name=name,
            description=description,
            set_tags=set_tags or {},
            remove_tags=remove_tags,
            set_metric_definitions=set_metric_definitions,
        )
        return Ask(request, lambda answer: answer.experiment)

    @answering
    def delete(self, experiment_id: str, *, force: bool = False) -> Ask[pb.DeleteExperimentResponse, None]:
        """Delete an experiment, with `force` also its runs; it cannot be undone."""
        return Ask(pb.DeleteExperimentRequest(experiment_id=experiment_id, force=force), lambda answer: None)

    @paging
    def list_configurations(
        self, experiment_id: str, *, page_size: int = 0
    ) -> Pages[pb.ListConfigurationsResponse, Configuration]:
        """The configurations of an experiment; `configuration.entry` is how `compare` takes them."""
        request = pb.ListConfigurationsRequest(experiment_id=experiment_id, page_size=page_size)
        return Pages(request, lambda page: page.configurations)


class RunMethods:
    """Runs are named by their ids."""

    @answering
    def create_run(
        self,
        experiment_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        seed: int | None = None,
        name: str = "",
        tags: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Ask[pb.CreateRunResponse, Run]:
        """Start a run; `params` are numbers, texts and truth values, nested mappings become dotted names."""
        request = pb.CreateRunRequest(
            experiment_id=experiment_id,
            name=name,
            seed=seed,
            params=parameter_values(params or {}),
            tags=tags or {},
            request_id=request_id,
        )
        return Ask(request, lambda answer: answer.run)

    @answering
    def get_run(self, run_id: str) -> Ask[pb.GetRunResponse, Run]:
        """One run, with the summaries of its metrics."""
        return Ask(pb.GetRunRequest(run_id=run_id), lambda answer: answer.run)

    @paging
    def list_runs(
        self, experiment_id: str, *, states: Iterable[str] = (), configuration_id: str = "", page_size: int = 0
    ) -> Pages[pb.ListRunsResponse, Run]:
        """The runs of an experiment, the newest first; `states` are RUNNING, FINISHED, FAILED, CANCELLED."""
        request = pb.ListRunsRequest(
            experiment_id=experiment_id,
            states=enum_values("states", RunState, states),
            configuration_id=configuration_id,
            page_size=page_size,
        )
        return Pages(request, lambda page: page.runs)

    @answering
    def update_run(
        self,
        run_id: str,
        *,
        name: str | None = None,
        add_params: Mapping[str, Any] | None = None,
        set_tags: Mapping[str, str] | None = None,
        remove_tags: Iterable[str] = (),
    ) -> Ask[pb.UpdateRunResponse, Run]:
        """Rename or label a run, or add hyperparameters; one that it has already stays as it is."""
        request = pb.UpdateRunRequest(
            run_id=run_id,
            name=name,
            add_params=parameter_values(add_params or {}),
            set_tags=set_tags or {},
            remove_tags=remove_tags,
        )
        return Ask(request, lambda answer: answer.run)

    @answering
    def delete_run(self, run_id: str) -> Ask[pb.DeleteRunResponse, None]:
        """Delete a run and its metrics; it cannot be undone."""
        return Ask(pb.DeleteRunRequest(run_id=run_id), lambda answer: None)

    @answering
    def finish_run(self, run_id: str, *, state: str = "", reason: str = "") -> Ask[pb.FinishRunResponse, Run]:
        """End a run as FINISHED (default), FAILED or CANCELLED."""
        request = pb.FinishRunRequest(run_id=run_id, state=enum_value("state", RunState, state), reason=reason)
        return Ask(request, lambda answer: answer.run)

    @answering
    def heartbeat(self, run_id: str) -> Ask[pb.HeartbeatRunResponse, str]:
        """Say that a run is alive; answers where it stands: one that reads other than RUNNING should stop."""
        return Ask(
            pb.HeartbeatRunRequest(run_id=run_id),
            lambda answer: RunState.Name(answer.state).removeprefix("RUN_STATE_"),
        )


class SeriesMethods:
    """Metric points, written and read in columns."""

    @answering
    def log_points(
        self, run_id: str, batches: Iterable[Iterable[MetricPoints]]
    ) -> Upload[Iterable[MetricPoints], pb.LogMetricsResponse, pb.LogMetricsResponse]:
        """Log points; when it returns, all are durable. Repeating them changes nothing. A training loop uses `run` instead.

        Args:
            run_id: the run.
            batches: each is stored whole or not at all, at most 100,000 points.
        """
        return Upload(
            request=pb.LogMetricsRequest,
            items=batches,
            encode=lambda points: pb.LogMetricsRequest(run_id=run_id, points=points),
            shape=lambda answer: answer,
        )

    @answering
    def history(
        self, run_id: str, metric: str, *, from_step: int | None = None, until_step: int | None = None
    ) -> Download[pb.StreamMetricHistoryResponse, History]:
        """All points of one metric of one run, of steps in [from_step, until_step)."""
        request = pb.StreamMetricHistoryRequest(run_id=run_id, metric=metric, from_step=from_step, until_step=until_step)
        return Download(request, lambda: _HistorySink(metric))


class Experiments(Blocking, ExperimentMethods, RunMethods, SeriesMethods, AnalysisMethods):
    """`client.experiments`."""

    def run(
        self,
        experiment_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        seed: int | None = None,
        name: str = "",
        tags: Mapping[str, str] | None = None,
        max_buffered_points: int = 1_000_000,
        patience: float = 300.0,
    ) -> LoggedRun:
        """A run to log from a training loop, without waiting for the platform:

            with client.experiments.run(experiment_id, params={"lr": 0.1}, seed=1) as run:
                for step in range(steps):
                    run.log({"loss": loss}, step=step)

        Leaving the block delivers what is left and ends the run: FINISHED, FAILED by an exception, CANCELLED by Ctrl-C.

        Args:
            experiment_id, params, seed, name, tags: as of `create_run`.
            max_buffered_points: points that may wait for delivery; further ones are dropped, counted and reported at the end.
            patience: seconds for which delivery is tried again while the platform is away.
        """
        created = self.create_run(experiment_id, params=params, seed=seed, name=name, tags=tags)
        return LoggedRun(self, created, max_buffered_points=max_buffered_points, patience=patience)


class AsyncExperiments(Asyncio, ExperimentMethods, RunMethods, SeriesMethods, AnalysisMethods):
    """`client.experiments` of an asyncio client."""

    async def run(
        self,
        experiment_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        seed: int | None = None,
        name: str = "",
        tags: Mapping[str, str] | None = None,
        max_buffered_points: int = 1_000_000,
        patience: float = 300.0,
    ) -> AsyncLoggedRun:
        """As of the blocking client: `async with await client.experiments.run(…) as run: run.log({…}, step=…)`."""
        created = await self.create_run(experiment_id, params=params, seed=seed, name=name, tags=tags)
        return AsyncLoggedRun(self, created, max_buffered_points=max_buffered_points, patience=patience)


class _HistorySink:
    def __init__(self, metric: str) -> None:
        self._history = History(metric=metric, steps=[], values=[], times_us=[])

    def take(self, answer: pb.StreamMetricHistoryResponse) -> None:
        self._history.steps.extend(answer.points.steps)
        self._history.values.extend(answer.points.values)
        self._history.times_us.extend(answer.points.times_us)

    def finish(self) -> History:
        return self._history

    def abandon(self) -> None:
        """Nothing was written anywhere."""
