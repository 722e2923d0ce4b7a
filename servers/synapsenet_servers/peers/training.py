"""What training needs from other areas: runs to log to."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from synapsenet.training.model import JobState
from synapsenet.training.ports import NewRun, Points, RunLog
from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1 import metric_pb2, parameter_pb2, run_pb2
from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from synapsenet_servers.peers.failures import asked

_STATES = {
    JobState.SUCCEEDED: run_pb2.RUN_STATE_FINISHED,
    JobState.FAILED: run_pb2.RUN_STATE_FAILED,
    JobState.CANCELLED: run_pb2.RUN_STATE_CANCELLED,
}


class GrpcRunLog(RunLog):
    """Runs through the experiment service; `timeout` seconds a call.

    Every call may be repeated: a run by its request id, points by (run, metric, step), the end by its state.
    """

    def __init__(self, channel: grpc.aio.Channel, *, timeout: float) -> None:
        self._experiments = ExperimentServiceStub(channel)
        self._timeout = timeout

    async def start(self, run: NewRun) -> str:
        request = pb.CreateRunRequest(
            experiment_id=run.experiment_id,
            name=run.name,
            seed=run.seed,
            params={name: _value(value) for name, value in run.params.items()},
            tags=run.tags,
            request_id=run.request_id,
        )
        answer = await asked(self._experiments.CreateRun(request, timeout=self._timeout), "experiments")
        return answer.run.id

    async def log(self, run_id: str, points: Sequence[Points]) -> None:
        series = [
            metric_pb2.MetricPoints(metric=each.metric, steps=each.steps, values=each.values, times_us=each.times_us)
            for each in points
        ]
        requests = iter([pb.LogMetricsRequest(run_id=run_id, points=series)])
        await asked(self._experiments.LogMetrics(requests, timeout=self._timeout), "experiments")

    async def finish(self, run_id: str, state: JobState, reason: str) -> None:
        request = pb.FinishRunRequest(run_id=run_id, state=_STATES[state], reason=reason)
        await asked(self._experiments.FinishRun(request, timeout=self._timeout), "experiments")


def _value(value: str | int | float | bool) -> parameter_pb2.ParameterValue:
    if isinstance(value, bool):
        return parameter_pb2.ParameterValue(bool_value=value)
    if isinstance(value, int):
        return parameter_pb2.ParameterValue(int_value=value)
    if isinstance(value, float):
        return parameter_pb2.ParameterValue(double_value=value)
    return parameter_pb2.ParameterValue(string_value=value)
