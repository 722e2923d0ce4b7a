"""Logging a run from a training loop: it never waits, outlives an absent platform, and loses nothing silently."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest

from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1.run_pb2 import Run, RunState
from synapsenet_client import (
    AsyncClient,
    Client,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    connect_async,
    parameter_value,
)
from tests.integration.clients.scripted import Listening, Refusal, ScriptedPlatform


class Recorded:
    """Keeps the points that reach the platform."""

    def __init__(self, platform: ScriptedPlatform) -> None:
        self.points: dict[str, list[tuple[int, float]]] = {}
        self.failures: list[Refusal] = []
        self.gate = threading.Event()
        self.gate.set()
        platform.answers["CreateRun"] = pb.CreateRunResponse(run=Run(id="run-1", experiment_id="exp-1"))
        platform.answers["FinishRun"] = lambda request: pb.FinishRunResponse(run=Run(id=request.run_id))
        platform.answers["LogMetrics"] = self.log

    def log(self, requests: Iterable[pb.LogMetricsRequest]) -> pb.LogMetricsResponse:
        self.gate.wait(10)
        sent = [points for request in requests for points in request.points]
        if self.failures:
            raise self.failures.pop(0)
        for points in sent:
            self.points.setdefault(points.metric, []).extend(zip(points.steps, points.values, strict=True))
        return pb.LogMetricsResponse()


@pytest.fixture
def recorded(platform: ScriptedPlatform) -> Recorded:
    return Recorded(platform)


def finish(platform: ScriptedPlatform) -> Any:
    return next(request for request in platform.requests if isinstance(request, pb.FinishRunRequest))


def test_everything_that_was_logged_arrives_before_the_run_is_finished(
    client: Client, platform: ScriptedPlatform, recorded: Recorded
) -> None:
    params = {"optimizer": {"name": "sgd", "lr": 0.1}, "layers": 2, "nesterov": True}
    with client.experiments.run("exp-1", params=params, seed=3) as run:
        for step in range(50_000):
            run.log({"loss": 1.0 / (step + 1)}, step=step)
        run.log({"accuracy": 0.97}, step=49_999)
    assert [step for step, _ in recorded.points["loss"]] == list(range(50_000))
    assert recorded.points["accuracy"] == [(49_999, 0.97)]
    assert finish(platform).state == RunState.RUN_STATE_FINISHED
    (created,) = (request for request in platform.requests if isinstance(request, pb.CreateRunRequest))
    assert {name: parameter_value(value) for name, value in created.params.items()} == {
        "optimizer.name": "sgd", "optimizer.lr": 0.1, "layers": 2, "nesterov": True,
    }  # fmt: skip
    assert created.seed == 3


def test_logging_returns_while_the_platform_does_not_answer(client: Client, recorded: Recorded) -> None:
    recorded.gate.clear()
    with client.experiments.run("exp-1") as run:
        for _ in range(1_000):
            run.log({"loss": 1.0})
        assert not recorded.points
        recorded.gate.set()
    assert [step for step, _ in recorded.points["loss"]] == list(range(1_000))


def test_points_wait_while_the_platform_is_away(client: Client, recorded: Recorded) -> None:
    away = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", "busy", retry_after=0.01)
    recorded.failures = [away, away, away]
    with client.experiments.run("exp-1") as run:
        run.log({"loss": 0.5}, step=7)
    assert recorded.points == {"loss": [(7, 0.5)]}


def test_patience_ends_and_the_loss_is_told_when_the_run_is_left(
    client: Client, platform: ScriptedPlatform, recorded: Recorded
) -> None:
    platform.answers["LogMetrics"] = Refusal(grpc.StatusCode.UNAVAILABLE, "DRAINING", "the platform is stopping")
    with pytest.raises(Unavailable), client.experiments.run("exp-1", patience=0.0) as run:
        run.log({"loss": 0.5})
    assert finish(platform).run_id == "run-1"


def test_a_refused_point_is_told_when_the_run_is_left(client: Client, recorded: Recorded) -> None:
    recorded.failures = [Refusal(grpc.StatusCode.NOT_FOUND, "RUN_UNKNOWN", "run-1 was deleted")]
    with pytest.raises(NotFound, match="run-1 was deleted"), client.experiments.run("exp-1") as run:
        run.log({"loss": 0.5})


def test_points_that_find_the_buffer_full_are_counted_and_reported(client: Client, recorded: Recorded) -> None:
    recorded.gate.clear()
    run = client.experiments.run("exp-1", max_buffered_points=10)
    for step in range(25):
        run.log({"loss": 0.5}, step=step)
    assert run.dropped_points == 15
    recorded.gate.set()
    with pytest.raises(ResourceExhausted, match="15 points of run run-1 were dropped"):
        run.finish()
    assert [step for step, _ in recorded.points["loss"]] == list(range(10))


@pytest.mark.parametrize(
    ("problem", "state"),
    [(ValueError("nan loss"), RunState.RUN_STATE_FAILED), (KeyboardInterrupt(), RunState.RUN_STATE_CANCELLED)],
)
def test_a_block_left_by_an_exception_ends_the_run_accordingly(
    client: Client, platform: ScriptedPlatform, recorded: Recorded, problem: BaseException, state: RunState.ValueType
) -> None:
    def train() -> None:
        with client.experiments.run("exp-1") as run:
            run.log({"loss": 0.5})
            raise problem

    with pytest.raises(type(problem)):
        train()
    assert finish(platform).state == state
    assert recorded.points == {"loss": [(0, 0.5)]}


def test_the_exception_of_the_block_outranks_what_was_lost(client: Client, recorded: Recorded) -> None:
    recorded.failures = [Refusal(grpc.StatusCode.FAILED_PRECONDITION, "RUN_ENDED", "run-1 has ended")]

    def train() -> None:
        with client.experiments.run("exp-1") as run:
            run.log({"loss": 0.5})
            raise ValueError("nan loss")

    with pytest.raises(ValueError, match="nan loss") as caught:
        train()
    assert caught.value.__notes__ == ["the run was not logged whole: run-1 has ended"]


def test_a_run_waits_with_its_end_while_the_platform_is_away(
    client: Client, platform: ScriptedPlatform, recorded: Recorded
) -> None:
    away = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", "busy", retry_after=0.01)
    platform.answers["FinishRun"] = [away, away, pb.FinishRunResponse()]
    with client.experiments.run("exp-1") as run:
        run.log({"loss": 0.5})
    assert recorded.points == {"loss": [(0, 0.5)]}
    assert platform.answers["FinishRun"] == []


def test_what_is_logged_after_the_end_is_refused(client: Client, recorded: Recorded) -> None:
    run = client.experiments.run("exp-1")
    run.finish()
    with pytest.raises(FailedPrecondition, match="run run-1 is finished"):
        run.log({"loss": 0.5})


def test_a_point_that_the_platform_would_refuse_is_refused_at_once_and_holds_nothing_up(
    client: Client, recorded: Recorded
) -> None:
    with client.experiments.run("exp-1") as run:
        for name, step in (("loss", -1), ("", 0), ("x" * 251, 0), ("a\nb", 0)):
            with pytest.raises(InvalidArgument):
                run.log({name: 0.5}, step=step)
        run.log({"loss": 0.5}, step=0)
    assert recorded.points == {"loss": [(0, 0.5)]}


@pytest.fixture
async def async_client(listening: Listening) -> AsyncIterator[AsyncClient]:
    async with connect_async(listening.target) as client:
        yield client


async def test_an_asyncio_run_delivers_everything(
    async_client: AsyncClient, platform: ScriptedPlatform, recorded: Recorded
) -> None:
    async with await async_client.experiments.run("exp-1", params={"lr": 0.1}) as run:
        for step in range(30_000):
            run.log({"loss": 0.5, "accuracy": 0.9}, step=step)
    assert {name: len(points) for name, points in recorded.points.items()} == {"loss": 30_000, "accuracy": 30_000}
    assert finish(platform).state == RunState.RUN_STATE_FINISHED


async def test_an_asyncio_run_tells_what_was_lost(async_client: AsyncClient, recorded: Recorded) -> None:
    recorded.failures = [Refusal(grpc.StatusCode.FAILED_PRECONDITION, "RUN_ENDED", "run-1 has ended")]
    run = await async_client.experiments.run("exp-1")
    run.log({"loss": 0.5})
    with pytest.raises(FailedPrecondition, match="run-1 has ended"):
        await run.finish()
