"""The experiments' services on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from synapsenet.clock import Clock
from synapsenet.experiments.analysis import Analysis
from synapsenet.experiments.model import Run
from synapsenet.experiments.series import Logged
from synapsenet.experiments.service import Experiments
from synapsenet_api.experiments.v1 import analysis_service_pb2, run_pb2
from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1.analysis_service_pb2_grpc import AnalysisServiceServicer
from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceServicer
from synapsenet_servers.translate import experiment_analysis as translate_analysis
from synapsenet_servers.translate import experiments as translate
from synapsenet_servers.translate.pages import page_request
from synapsenet_servers.translate.requests import request as identity


class ExperimentTracking(ExperimentServiceServicer):
    """Translates between `ExperimentService` and the tracking use cases."""

    def __init__(self, experiments: Experiments, clock: Clock) -> None:
        self._experiments = experiments
        self._clock = clock

    async def CreateExperiment(self, request: pb.CreateExperimentRequest, context: Any) -> pb.CreateExperimentResponse:
        created = await self._experiments.create(translate.experiment_wish(request), identity(request))
        return pb.CreateExperimentResponse(experiment=translate.to_experiment(created))

    async def GetExperiment(self, request: pb.GetExperimentRequest, context: Any) -> pb.GetExperimentResponse:
        experiment = await self._experiments.get(request.experiment_id)
        return pb.GetExperimentResponse(experiment=translate.to_experiment(experiment))

    async def ListExperiments(self, request: pb.ListExperimentsRequest, context: Any) -> pb.ListExperimentsResponse:
        page = await self._experiments.list(request.project, page_request(request))
        return pb.ListExperimentsResponse(experiments=map(translate.to_experiment, page.items), next_page_token=page.next_token)

    async def UpdateExperiment(self, request: pb.UpdateExperimentRequest, context: Any) -> pb.UpdateExperimentResponse:
        changed = await self._experiments.update(request.experiment_id, translate.experiment_change(request))
        return pb.UpdateExperimentResponse(experiment=translate.to_experiment(changed))

    async def DeleteExperiment(self, request: pb.DeleteExperimentRequest, context: Any) -> pb.DeleteExperimentResponse:
        await self._experiments.delete(request.experiment_id, force=request.force)
        return pb.DeleteExperimentResponse()

    async def ListConfigurations(self, request: pb.ListConfigurationsRequest, context: Any) -> pb.ListConfigurationsResponse:
        page = await self._experiments.configurations(request.experiment_id, page_request(request))
        return pb.ListConfigurationsResponse(
            configurations=map(translate.to_configuration, page.items), next_page_token=page.next_token
        )

    async def CreateRun(self, request: pb.CreateRunRequest, context: Any) -> pb.CreateRunResponse:
        run = await self._experiments.start_run(translate.run_wish(request), identity(request))
        return pb.CreateRunResponse(run=self._run(run))

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:
        return pb.GetRunResponse(run=self._run(await self._experiments.get_run(request.run_id)))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsResponse:
        page = await self._experiments.list_runs(
            request.experiment_id,
            page_request(request),
            states=translate.states(request.states),
            configuration_id=request.configuration_id,
        )
        return pb.ListRunsResponse(runs=map(self._run, page.items), next_page_token=page.next_token)

    async def UpdateRun(self, request: pb.UpdateRunRequest, context: Any) -> pb.UpdateRunResponse:
        run = await self._experiments.update_run(request.run_id, translate.run_change(request))
        return pb.UpdateRunResponse(run=self._run(run))

    async def DeleteRun(self, request: pb.DeleteRunRequest, context: Any) -> pb.DeleteRunResponse:
        await self._experiments.delete_run(request.run_id)
        return pb.DeleteRunResponse()

    async def FinishRun(self, request: pb.FinishRunRequest, context: Any) -> pb.FinishRunResponse:
        run = await self._experiments.finish_run(request.run_id, translate.ending(request))
        return pb.FinishRunResponse(run=self._run(run))

    async def HeartbeatRun(self, request: pb.HeartbeatRunRequest, context: Any) -> pb.HeartbeatRunResponse:
        state = await self._experiments.heartbeat(request.run_id)
        return pb.HeartbeatRunResponse(state=translate.STATES[state])

    async def LogMetrics(self, request_iterator: AsyncIterator[pb.LogMetricsRequest], context: Any) -> pb.LogMetricsResponse:
        logged = Logged()
        async for message in request_iterator:
            arrived = self._clock.now()
            points = [translate.from_points(points, arrived) for points in message.points]
            logged += await self._experiments.log(message.run_id, points)
        return pb.LogMetricsResponse(stored_points=logged.stored, repeated_points=logged.repeated)

    async def GetMetricHistory(self, request: pb.GetMetricHistoryRequest, context: Any) -> pb.GetMetricHistoryResponse:
        page = await self._experiments.history(request.run_id, request.metric, translate.window(request), page_request(request))
        return pb.GetMetricHistoryResponse(
            points=translate.to_history(request.metric, page.items), next_page_token=page.next_token
        )

    async def StreamMetricHistory(
        self, request: pb.StreamMetricHistoryRequest, context: Any
    ) -> AsyncIterator[pb.StreamMetricHistoryResponse]:
        async for points in self._experiments.stream_history(request.run_id, request.metric, translate.window(request)):
            yield pb.StreamMetricHistoryResponse(points=translate.to_points(points))

    def _run(self, run: Run) -> run_pb2.Run:
        return translate.to_run(run, stale=self._experiments.stale(run))


class ExperimentAnalysis(AnalysisServiceServicer):
    """Translates between `AnalysisService` and the analysis use cases."""

    def __init__(self, analysis: Analysis, experiments: Experiments) -> None:
        self._analysis = analysis
        self._experiments = experiments

    async def SearchExperiments(
        self, request: analysis_service_pb2.SearchExperimentsRequest, context: Any
    ) -> analysis_service_pb2.SearchExperimentsResponse:
        wish, page = translate_analysis.search_wish(request), page_request(request)
        if request.view == analysis_service_pb2.SEARCH_VIEW_RUNS:
            runs = await self._analysis.search_runs(wish, page)
            return analysis_service_pb2.SearchExperimentsResponse(
                runs=map(self._run, runs.items), next_page_token=runs.next_token
            )
        matches = await self._analysis.search(wish, page)
        return analysis_service_pb2.SearchExperimentsResponse(
            experiments=(translate_analysis.to_match(match, map(self._run, match.runs)) for match in matches.items),
            next_page_token=matches.next_token,
        )

    async def CompareExperiments(
        self, request: analysis_service_pb2.CompareExperimentsRequest, context: Any
    ) -> analysis_service_pb2.CompareExperimentsResponse:
        comparison = await self._analysis.compare(translate_analysis.question(request))
        # A hundred entries have 4,950 pairs: their messages take longer than the loop should be held up.
        answer = await asyncio.to_thread(translate_analysis.to_comparison, comparison)
        return analysis_service_pb2.CompareExperimentsResponse(comparison=answer)

    async def GetHyperparameterImportance(
        self, request: analysis_service_pb2.GetHyperparameterImportanceRequest, context: Any
    ) -> analysis_service_pb2.GetHyperparameterImportanceResponse:
        importance = await self._analysis.importance(translate_analysis.importance_wish(request))
        return analysis_service_pb2.GetHyperparameterImportanceResponse(importance=translate_analysis.to_importance(importance))

    def _run(self, run: Run) -> run_pb2.Run:
        return translate.to_run(run, stale=self._experiments.stale(run))
