"""The questions asked of experiments: search, comparison, trajectories, importance."""

from __future__ import annotations

from collections.abc import Iterable

from synapsenet_api.experiments.v1 import analysis_service_pb2 as pb
from synapsenet_api.experiments.v1.comparison_pb2 import Comparison, Correction, Representative, SignificanceTest
from synapsenet_api.experiments.v1.importance_pb2 import HyperparameterImportance
from synapsenet_api.experiments.v1.metric_pb2 import Direction, Reducer
from synapsenet_api.experiments.v1.run_pb2 import Run, RunState
from synapsenet_api.experiments.v1.trajectory_pb2 import TrajectoryComparison
from synapsenet_client._calls import Ask, Pages, answering, paging
from synapsenet_client._enums import enum_value, enum_values


class AnalysisMethods:
    """Entries are `ID` for an experiment or `ID@CONFIGURATION` for one configuration of it."""

    @paging
    def search(
        self, filter: str = "", *, order_by: str = "", project: str = "", runs_per_experiment: int = 0, page_size: int = 0
    ) -> Pages[pb.SearchExperimentsResponse, pb.ExperimentMatch]:
        """Experiments with their runs that match, such as `learning_rate>=0.001 AND metrics.accuracy>0.9`.

        Raises:
            InvalidArgument: the filter does not parse; the sentence gives the position.
        """
        request = pb.SearchExperimentsRequest(
            filter=filter,
            order_by=order_by,
            view=pb.SearchView.SEARCH_VIEW_EXPERIMENTS,
            project=project,
            runs_per_experiment=runs_per_experiment,
            page_size=page_size,
        )
        return Pages(request, lambda page: page.experiments)

    @paging
    def search_runs(
        self, filter: str = "", *, order_by: str = "", project: str = "", fields: Iterable[str] = (), page_size: int = 0
    ) -> Pages[pb.SearchExperimentsResponse, Run]:
        """Runs that match, as a flat list; `order_by` such as `metrics.accuracy desc, learning_rate`."""
        request = pb.SearchExperimentsRequest(
            filter=filter,
            order_by=order_by,
            view=pb.SearchView.SEARCH_VIEW_RUNS,
            project=project,
            fields=fields,
            page_size=page_size,
        )
        return Pages(request, lambda page: page.runs)

    @answering
    def compare(
        self,
        entries: Iterable[str],
        *,
        metric: str = "",
        reducer: str = "",
        at_step: int | None = None,
        at_fraction: float | None = None,
        direction: str = "",
        correction: str = "",
        test: str = "",
        confidence: float | None = None,
        alpha: float | None = None,
        states: Iterable[str] = (),
        representative: str = "",
    ) -> Ask[pb.CompareExperimentsResponse, Comparison]:
        """Compare 1 to 100 entries by a metric: figures, hyperparameters, the best one, a p-value for every pair.

        Args:
            entries: `ID` or `ID@CONFIGURATION`.
            metric: empty: the one that all entries have; the answer says which.
            reducer: LAST, MIN, MAX or BEST. At most one of this and the next two.
            at_step: the value at this step.
            at_fraction: the value at this share of each run's steps, 0 to 1.
            direction: MAXIMIZE or MINIMIZE, over what is known of the metric.
            correction: HOLM (default), BENJAMINI_HOCHBERG or NONE.
            test: PAIRED_T, WELCH_T, MANN_WHITNEY, PERMUTATION; empty: as fits the seeds.
            confidence: of the intervals; None: 0.95.
            alpha: level of significance; None: 0.05.
            states: runs that count; empty: FINISHED.
            representative: what stands for an experiment: ONLY_CONFIGURATION, ALL_RUNS, BEST_CONFIGURATION.

        Raises:
            NotFound: none of the entries exists.
        """
        request = pb.CompareExperimentsRequest(
            experiment_ids=entries,
            metric=metric,
            reducer=enum_value("reducer", Reducer, reducer),
            at_step=at_step,
            at_fraction=at_fraction,
            direction=enum_value("direction", Direction, direction),
            correction=enum_value("correction", Correction, correction),
            test=enum_value("test", SignificanceTest, test),
            confidence=confidence,
            alpha=alpha,
            states=enum_values("states", RunState, states),
            representative=enum_value("representative", Representative, representative),
        )
        return Ask(request, lambda answer: answer.comparison)

    @answering
    def trajectories(
        self,
        entries: Iterable[str],
        *,
        metric: str = "",
        max_points: int = 0,
        from_step: int | None = None,
        until_step: int | None = None,
        threshold: float | None = None,
        best_so_far: bool = False,
        direction: str = "",
        states: Iterable[str] = (),
    ) -> Ask[pb.CompareTrajectoriesResponse, TrajectoryComparison]:
        """Compare how a metric evolved over steps."""
        request = pb.CompareTrajectoriesRequest(
            experiment_ids=entries,
            metric=metric,
            max_points=max_points,
            from_step=from_step,
            until_step=until_step,
            threshold=threshold,
            best_so_far=best_so_far,
            direction=enum_value("direction", Direction, direction),
            states=enum_values("states", RunState, states),
        )
        return Ask(request, lambda answer: answer.comparison)

    @answering
    def importance(
        self,
        experiment_id: str,
        *,
        metric: str = "",
        reducer: str = "",
        params: Iterable[str] = (),
        interactions: bool = False,
        states: Iterable[str] = (),
    ) -> Ask[pb.GetHyperparameterImportanceResponse, HyperparameterImportance]:
        """Rank the hyperparameters of an experiment by how much of a metric's variance they explain."""
        request = pb.GetHyperparameterImportanceRequest(
            experiment_id=experiment_id,
            metric=metric,
            reducer=enum_value("reducer", Reducer, reducer),
            params=params,
            interactions=interactions,
            states=enum_values("states", RunState, states),
        )
        return Ask(request, lambda answer: answer.importance)
