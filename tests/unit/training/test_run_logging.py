"""A job's log: points go on in order, a log that is away costs the job nothing but its points."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from synapsenet.errors import PermissionDenied, Unavailable
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.training import job
from synapsenet.training.changes import Changes
from synapsenet.training.live_job import LiveJob
from synapsenet.training.model import Evaluation, Failure, JobState, WorkerState
from synapsenet.training.ports import NewRun, Points, RunLog
from synapsenet.training.run_logging import finish_run, log_points


class NotedLog(RunLog):
    """Keeps what it is told, after refusing the first `refusals` calls; never answers if it is `silent`."""

    def __init__(self, *, refusals: int = 0, silent: bool = False) -> None:
        self.refusals = refusals
        self.silent = silent
        self.calls = 0
        self.points: list[Points] = []
        self.ends: list[tuple[str, JobState, str]] = []

    async def start(self, run: NewRun) -> str:
        return "run-1"

    async def log(self, run_id: str, points: Sequence[Points]) -> None:
        await self._refuse()
        self.points += points

    async def finish(self, run_id: str, state: JobState, reason: str) -> None:
        await self._refuse()
        self.ends.append((run_id, state, reason))

    async def _refuse(self) -> None:
        self.calls += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("PEER_UNAVAILABLE", "experiments do not answer")


def live_job(clock: FakeClock | None = None) -> LiveJob:
    running = replace(job(1).starting(FakeClock().now()), run_id="run-1")
    return LiveJob(running, token="secret", clock=clock or FakeClock(), changes=Changes(), log_queue=8)


def loss(*steps: int) -> Points:
    return Points(metric="loss", steps=steps, values=tuple(1.0 / step for step in steps), times_us=steps)


async def logged(log: NotedLog, *batches: Points, timeout: float = 5.0) -> LiveJob:
    live = live_job()
    for batch in batches:
        await live.record([batch])
    await live.points.put(None)
    await log_points(live, log, timeout=timeout)
    return live


async def test_points_go_on_in_their_order() -> None:
    log = NotedLog()
    live = await logged(log, loss(1, 2), loss(3))
    assert [points.steps for points in log.points] == [(1, 2), (3,)]
    assert live.logging_failure == ""


async def test_a_log_that_comes_back_misses_nothing() -> None:
    log = NotedLog(refusals=2)
    live = await logged(log, loss(1), loss(2))
    assert [points.steps for points in log.points] == [(1,), (2,)]
    assert live.logging_failure == ""


async def test_a_log_that_stays_away_is_told_with_the_first_step_that_is_missing() -> None:
    log = NotedLog(refusals=100)
    live = await logged(log, loss(4, 5), loss(6))
    assert live.logging_failure == "points were not logged from step 4 on: experiments do not answer"
    assert log.calls == 3


async def test_a_log_that_does_not_answer_is_not_asked_again() -> None:
    log = NotedLog(silent=True)
    live = await logged(log, loss(1), loss(2), timeout=0.001)
    assert log.calls == 1
    assert "did not answer in time" in live.logging_failure


async def test_the_run_ends_as_the_job_does() -> None:
    log = NotedLog()
    await finish_run(live_job(), log, JobState.FAILED, "worker-1 was lost", timeout=5)
    assert log.ends == [("run-1", JobState.FAILED, "worker-1 was lost")]


async def test_the_first_verdict_on_a_job_stands() -> None:
    live = live_job()
    live.end(failure=Failure(reason="WORKER_LOST", message="worker-0 was lost", worker_id="worker-0"))
    live.end(cancelled=True)
    verdict = live.verdict.result()
    assert (verdict.reason, verdict.cancelled, verdict.succeeded) == ("WORKER_LOST", False, False)


async def test_only_who_has_the_token_belongs_to_the_job() -> None:
    live = live_job()
    live.check("secret")
    with pytest.raises(PermissionDenied):
        live.check("guessed")


async def test_the_rate_counts_from_when_all_workers_had_joined() -> None:
    clock = FakeClock()
    live = live_job(clock)
    await clock.advance(100)
    live.worker_joined(0)
    await clock.advance(2)
    live.made(loss(9, 10), 0, [10])
    assert live.all_joined.is_set()
    assert (live.view.progress.step, live.view.progress.steps_per_second, live.view.progress.workers_running) == (10, 5.0, 1)


async def test_a_worker_whose_joining_is_told_after_it_was_done_stays_done() -> None:
    live = live_job()
    live.worker_done(0)  # its own stream was faster than the parameter server's report
    live.worker_joined(0)
    assert live.workers[0].state is WorkerState.DONE
    assert live.all_joined.is_set()
    assert live.all_done.is_set()


async def test_a_worker_that_was_done_is_not_lost_when_its_process_ends() -> None:
    live = live_job()
    live.worker_done(0)
    live.worker_ended(0, "it ended with code 0")
    assert live.workers[0].state is WorkerState.DONE
    assert live.all_done.is_set()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_a_loss_that_is_no_number_ends_the_job(value: float) -> None:
    live = live_job()
    live.evaluated(Evaluation(version=7, loss=value, accuracy=0.1, examples=10, at=FakeClock().now()))
    failure = live.verdict.result().failure
    assert failure is not None
    assert (failure.reason, live.view.progress.evaluation) == ("LOSS_NOT_FINITE", None)
