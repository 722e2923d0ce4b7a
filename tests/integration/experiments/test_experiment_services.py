"""Experiments over the wire: tracking, streams, answers, and what is refused how."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from scipy import stats

from synapsenet_api.experiments.v1 import analysis_service_pb2 as answers
from synapsenet_api.experiments.v1 import comparison_pb2, experiment_pb2, importance_pb2, metric_pb2, parameter_pb2, run_pb2
from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_servers.not_yet_available.experiments import ROWS
from synapsenet_servers.not_yet_available.row import Row
from tests.integration.experiments.served import Served, calling, message, messages, serving

ACCURACIES = {0.001: [0.90, 0.91, 0.92], 0.01: [0.95, 0.97, 0.96], 0.1: [0.70, 0.65, 0.72]}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as port, calling(port) as stubs:
        yield stubs


@pytest.fixture
async def sweep(served: Served) -> experiment_pb2.Experiment:
    """Three learning rates by three seeds, finished."""
    created = await served.tracking.CreateExperiment(pb.CreateExperimentRequest(name="sweep", tags={"team": "vision"}))
    for rate, values in ACCURACIES.items():
        for seed, value in enumerate(values):
            params = {
                "learning_rate": parameter_pb2.ParameterValue(double_value=rate),
                "optimizer": parameter_pb2.ParameterValue(string_value="sgd"),
            }
            run_id = await start(served, created.experiment, params=params, seed=seed)
            logged = metric_pb2.MetricPoints(metric="accuracy", steps=[0, 1], values=[0.1, value])
            await served.tracking.LogMetrics(iter([pb.LogMetricsRequest(run_id=run_id, points=[logged])]))
            await served.tracking.FinishRun(pb.FinishRunRequest(run_id=run_id))
    experiment: experiment_pb2.Experiment = created.experiment
    return experiment


async def start(served: Served, experiment: experiment_pb2.Experiment, **fields: Any) -> str:
    request = pb.CreateRunRequest(experiment_id=experiment.id, **fields)
    return str((await served.tracking.CreateRun(request)).run.id)


async def refused(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """Status, reason and message of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    info = error_details_pb2.ErrorInfo()
    call_: Any = failure.value  # typed for the blocking stack
    status = rpc_status.from_call(call_)
    assert status is not None
    assert any(detail.Unpack(info) for detail in status.details)
    return failure.value.code(), info.reason, failure.value.details() or ""


async def test_a_run_is_read_back_as_it_was_logged(served: Served, sweep: experiment_pb2.Experiment) -> None:
    listed = await served.tracking.ListRuns(pb.ListRunsRequest(experiment_id=sweep.id, page_size=2))
    assert len(listed.runs) == 2
    assert listed.next_page_token
    run = (await served.tracking.GetRun(pb.GetRunRequest(run_id=listed.runs[0].id))).run
    assert (run.state, run.seed, run.stale) == (run_pb2.RUN_STATE_FINISHED, 2, False)
    assert run.params["learning_rate"].double_value == 0.1
    assert run.metrics["accuracy"].last == 0.72
    assert run.HasField("end_time")


async def test_a_creation_repeated_with_its_request_id_is_one(served: Served) -> None:
    request = pb.CreateExperimentRequest(
        name="once",
        request_id="r-1",
        metric_definitions=[metric_pb2.MetricDefinition(name="loss", direction=metric_pb2.DIRECTION_MINIMIZE)],
        parameter_definitions=[
            parameter_pb2.ParameterDefinition(name="lr", scale=parameter_pb2.PARAMETER_SCALE_LOG),
            parameter_pb2.ParameterDefinition(name="fold", role=parameter_pb2.PARAMETER_ROLE_SEED),
        ],
    )
    first = await served.tracking.CreateExperiment(request)
    assert (await served.tracking.CreateExperiment(request)).experiment == first.experiment
    assert list(first.experiment.parameter_definitions) == list(request.parameter_definitions)
    assert list(first.experiment.metric_definitions) == list(request.metric_definitions)


async def test_what_is_changed_and_deleted_is_so(served: Served, sweep: experiment_pb2.Experiment) -> None:
    change = pb.UpdateExperimentRequest(experiment_id=sweep.id, description="rates", remove_tags=["team"])
    changed = (await served.tracking.UpdateExperiment(change)).experiment
    assert (changed.name, changed.description, dict(changed.tags)) == ("sweep", "rates", {})
    listed = await served.tracking.ListExperiments(pb.ListExperimentsRequest(project="default"))
    assert list(listed.experiments) == [changed]
    run_id = await start(served, sweep)
    added = {"width": parameter_pb2.ParameterValue(int_value=3)}
    updated = await served.tracking.UpdateRun(
        pb.UpdateRunRequest(run_id=run_id, name="n", add_params=added, set_tags={"a": "b"})
    )
    assert (updated.run.name, updated.run.params["width"].int_value, dict(updated.run.tags)) == ("n", 3, {"a": "b"})
    beat = await served.tracking.HeartbeatRun(pb.HeartbeatRunRequest(run_id=run_id))
    assert beat.state == run_pb2.RUN_STATE_RUNNING
    await served.tracking.DeleteRun(pb.DeleteRunRequest(run_id=run_id))
    assert (await refused(served.tracking.GetRun(pb.GetRunRequest(run_id=run_id))))[:2] == (
        grpc.StatusCode.NOT_FOUND,
        "RUN_UNKNOWN",
    )
    delete = pb.DeleteExperimentRequest(experiment_id=sweep.id)
    assert (await refused(served.tracking.DeleteExperiment(delete)))[0] is grpc.StatusCode.FAILED_PRECONDITION
    delete.force = True
    await served.tracking.DeleteExperiment(delete)
    assert not (await served.tracking.ListExperiments(pb.ListExperimentsRequest())).experiments


async def test_a_stream_of_points_is_idempotent_and_keeps_what_is_not_finite(
    served: Served, sweep: experiment_pb2.Experiment
) -> None:
    run_id = await start(served, sweep)
    for expected in ((1000, 0), (0, 1000)):
        answer = await served.tracking.LogMetrics(messages(run_id, 10))
        assert (answer.stored_points, answer.repeated_points) == expected
    strange = metric_pb2.MetricPoints(metric="odd", steps=[2, 1, 0], values=[math.nan, math.inf, 1.0], times_us=[3, 2, 1])
    await served.tracking.LogMetrics(iter([pb.LogMetricsRequest(run_id=run_id, points=[strange])]))
    odd = (await served.tracking.GetMetricHistory(pb.GetMetricHistoryRequest(run_id=run_id, metric="odd"))).points
    assert (list(odd.steps), list(odd.times_us), odd.values[:2]) == ([0, 1, 2], [1, 2, 3], [1.0, math.inf])
    assert math.isnan(odd.values[2])
    request = pb.StreamMetricHistoryRequest(run_id=run_id, metric="loss", from_step=10, until_step=20)
    streamed = [list(part.points.steps) async for part in served.tracking.StreamMetricHistory(request)]
    assert streamed == [list(range(10, 20))]


async def test_a_message_that_is_refused_leaves_those_before_it(served: Served, sweep: experiment_pb2.Experiment) -> None:
    run_id = await start(served, sweep)
    bad = pb.LogMetricsRequest(run_id=run_id, points=[metric_pb2.MetricPoints(metric="loss", steps=[500, 501], values=[1.0])])
    call = served.tracking.LogMetrics(iter([message(run_id, 0, 100), bad]))
    assert (await refused(call))[1] == "COLUMNS_UNEQUAL"
    assert (await served.tracking.GetRun(pb.GetRunRequest(run_id=run_id))).run.metrics["loss"].count == 100


async def test_the_sweep_is_compared_by_its_configurations(served: Served, sweep: experiment_pb2.Experiment) -> None:
    listed = await served.tracking.ListConfigurations(pb.ListConfigurationsRequest(experiment_id=sweep.id))
    rates = {one.params["learning_rate"].double_value: one.entry for one in listed.configurations}
    entries = [rates[0.001], rates[0.1], "exp-none"]
    answer = (await served.analysis.CompareExperiments(answers.CompareExperimentsRequest(experiment_ids=entries))).comparison
    oracle = stats.ttest_rel(ACCURACIES[0.001], ACCURACIES[0.1])
    (pair,) = answer.pairs
    assert (pair.first, pair.second, pair.status) == (rates[0.001], rates[0.1], comparison_pb2.PAIR_STATUS_OK)
    assert pair.adjusted_p_value == pytest.approx(oracle.pvalue)
    assert (answer.metric, answer.direction) == ("accuracy", metric_pb2.DIRECTION_MAXIMIZE)
    assert [one.entry for one in answer.unknown] == ["exp-none"]
    assert answer.best.params["learning_rate"].double_value == 0.001
    assert [replicate.value for replicate in answer.entries[0].replicates] == ACCURACIES[0.001]
    assert list(answer.parameters.varying) == ["learning_rate"]


async def test_the_sweeps_learning_rate_is_what_matters(served: Served, sweep: experiment_pb2.Experiment) -> None:
    request = answers.GetHyperparameterImportanceRequest(experiment_id=sweep.id)
    ranking = (await served.analysis.GetHyperparameterImportance(request)).importance
    assert (ranking.reliable, ranking.verdict) == (True, importance_pb2.IMPORTANCE_VERDICT_RELIABLE)
    assert [one.name for one in ranking.parameters] == ["learning_rate"]
    assert list(ranking.constant_parameters) == ["optimizer"]


async def test_a_search_answers_by_experiment_or_as_a_list(served: Served, sweep: experiment_pb2.Experiment) -> None:
    request = answers.SearchExperimentsRequest(
        filter="learning_rate>=0.01 AND metrics.accuracy>0.7", order_by="metrics.accuracy desc", fields=["metrics.accuracy"]
    )
    (match,) = (await served.analysis.SearchExperiments(request)).experiments
    assert (match.experiment.name, match.matching_runs) == ("sweep", 4)
    request.view = answers.SEARCH_VIEW_RUNS
    runs = (await served.analysis.SearchExperiments(request)).runs
    assert [run.metrics["accuracy"].last for run in runs] == [0.97, 0.96, 0.95, 0.72]
    assert not runs[0].params
    nothing = await served.analysis.SearchExperiments(answers.SearchExperimentsRequest(filter="nobody=1"))
    assert not nothing.experiments


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason", "named"),
    [
        (
            "SearchExperiments",
            answers.SearchExperimentsRequest(filter="lr>>1"),
            "INVALID_ARGUMENT",
            "FILTER_INVALID",
            "position 4",
        ),
        (
            "SearchExperiments",
            answers.SearchExperimentsRequest(page_size=-1),
            "INVALID_ARGUMENT",
            "PAGE_SIZE_NEGATIVE",
            "page_size",
        ),
        (
            "CompareExperiments",
            answers.CompareExperimentsRequest(experiment_ids=["exp-a", "exp-b"]),
            "NOT_FOUND",
            "EXPERIMENTS_UNKNOWN",
            "exp-b",
        ),
        ("CompareExperiments", answers.CompareExperimentsRequest(), "INVALID_ARGUMENT", "FIELD_MISSING", "experiment_ids"),
        (
            "CompareExperiments",
            answers.CompareExperimentsRequest(experiment_ids=["a"], alpha=1.5),
            "INVALID_ARGUMENT",
            "FRACTION_INVALID",
            "alpha",
        ),
        (
            "GetHyperparameterImportance",
            answers.GetHyperparameterImportanceRequest(experiment_id="exp-none"),
            "NOT_FOUND",
            "EXPERIMENT_UNKNOWN",
            "exp-none",
        ),
    ],
)
async def test_what_is_wrong_is_named(served: Served, method: str, request_: Any, code: str, reason: str, named: str) -> None:
    status, given, sentence = await refused(getattr(served.analysis, method)(request_))
    assert (status.name, given) == (code, reason)
    assert named in sentence


NAMED: dict[str, dict[str, Any]] = {
    "SearchExperiments": {},
    "CompareExperiments": {"experiment_ids": ["exp-a"]},
    "CompareTrajectories": {"experiment_ids": ["exp-a"]},
    "GetHyperparameterImportance": {"experiment_id": "exp-a"},
}
ASKED: dict[str, Any] = {
    "filter=at()": "at(loss, 1) < 2",
    "order_by=at()": "at(loss, 1)",
    "at_step": 0,
    "at_fraction": 0.5,
    "selection_metric": "loss",
    "selection_seeds": [1],
    "robust": True,
    "task_tag": "task",
    "interactions": True,
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method.rpartition('/')[2]} {row.option}")
async def test_what_is_to_come_is_refused_as_the_table_says(served: Served, row: Row) -> None:
    method = row.method.rpartition("/")[2]
    field, _, value = row.option.partition("=")
    fields = {**NAMED[method], **({field: ASKED.get(row.option, value)} if field else {})}
    request = getattr(answers, f"{method}Request")(**fields)
    assert (await refused(getattr(served.analysis, method)(request)))[:2] == (
        grpc.StatusCode.UNIMPLEMENTED,
        "NOT_YET_AVAILABLE",
    )
