"""The parameter server's promises to its workers: the barrier, the refusals, and what ends a job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

import numpy as np
import pytest

from synapsenet.clock import Clock
from synapsenet.testing.clock import NOON
from synapsenet.training.aggregation import Gradient, mean_gradient
from synapsenet.training.model import Failure
from synapsenet.training.optimizer import Sgd
from synapsenet.training.parameter_server import Over, ParameterServer, Plan, Snapshot
from synapsenet.training.refusal import Action, Code, Refused
from synapsenet.training.schema import FLOAT32, ParameterSchema

SCHEMA = ParameterSchema.of([("weight", (2, 3)), ("bias", (3,))])
PATIENCE = 10.0


class HandClock(Clock):
    """A clock for threads; time passes when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def server(clock: HandClock) -> ParameterServer:
    plan = Plan(workers=3, steps=2, learning_rate=0.5, step_timeout=4.0, lease_ttl=9.0)
    parameters = np.arange(SCHEMA.count, dtype=FLOAT32)
    return ParameterServer(
        plan=plan, schema=SCHEMA, parameters=parameters, updater=Sgd(momentum=0, count=SCHEMA.count), clock=clock
    )


def gradient(worker: int) -> Gradient:
    return Gradient(values=np.full(SCHEMA.count, 0.1 * (worker + 1), FLOAT32), examples=worker + 1, loss=float(worker))


def in_thread(call: Callable[[], Snapshot]) -> Future[Snapshot]:
    with_thread = ThreadPoolExecutor(1)
    try:
        return with_thread.submit(call)
    finally:
        with_thread.shutdown(wait=False)


def pushed(server: ParameterServer, *workers: int) -> list[Future[Snapshot]]:
    """Pushes of `workers` for the first step, each from its own thread, all of them in at the barrier."""
    waiting = [
        in_thread(lambda worker=worker: server.push(worker, gradient(worker), base_version=0))  # type: ignore[misc]
        for worker in workers
    ]
    with server._changed:
        server._changed.wait_for(lambda: server._barrier.missing.isdisjoint(workers), timeout=PATIENCE)
    return waiting


def joined(server: ParameterServer) -> None:
    for worker in range(3):
        server.join(worker)


def test_a_step_waits_for_all_and_makes_one_update_of_all(server: ParameterServer) -> None:
    joined(server)
    early = pushed(server, 2, 0)
    assert not any(waiting.done() for waiting in early)
    last = server.push(1, gradient(1), base_version=0)
    mean = mean_gradient({worker: gradient(worker) for worker in range(3)})
    expected = np.arange(SCHEMA.count, dtype=FLOAT32) - np.float32(0.5) * mean.values
    assert last.parameters.tobytes() == expected.tobytes()
    assert all(waiting.result(PATIENCE) is last for waiting in early)


def test_a_gradient_of_an_older_version_is_refused_with_what_to_do_next(server: ParameterServer) -> None:
    joined(server)
    early = pushed(server, 0, 1)
    server.push(2, gradient(2), base_version=0)
    with pytest.raises(Refused, match="is of version 0, the step needs 1") as refused:
        server.push(0, gradient(0), base_version=0)
    assert (refused.value.code, refused.value.action) == (Code.VERSION, Action.PULL)
    assert [waiting.result(PATIENCE).version for waiting in early] == [1, 1]
    assert server.pull().version == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
def test_a_gradient_that_is_not_finite_fails_the_job_and_leaves_the_parameters(server: ParameterServer, bad: float) -> None:
    joined(server)
    before = server.pull().parameters.tobytes()
    poisoned = gradient(1)
    poisoned.values[4] = bad
    with pytest.raises(Refused) as refused:
        server.push(1, poisoned, base_version=0)
    assert refused.value.code is Code.NON_FINITE
    failure = server.attend()
    assert failure is not None
    assert (failure.reason, failure.worker_id) == ("GRADIENT_NOT_FINITE", "worker-1")
    assert server.pull().parameters.tobytes() == before


def test_a_worker_that_is_lost_ends_the_waiting_of_the_others(server: ParameterServer) -> None:
    joined(server)
    (waiting,) = pushed(server, 0)
    server.lose(1)
    with pytest.raises(Over, match="worker-1 was lost at step 1: its stream broke"):
        waiting.result(PATIENCE)
    failure = server.attend()
    assert failure is not None
    assert (failure.reason, failure.worker_id) == ("WORKER_LOST", "worker-1")


def test_a_step_that_waits_too_long_names_whom_it_waited_for(server: ParameterServer, clock: HandClock) -> None:
    joined(server)
    (waiting,) = pushed(server, 1)
    clock.seconds = 4.0
    failure = server.attend()
    assert failure is not None
    assert (failure.reason, failure.worker_id) == ("STEP_TIMEOUT", "worker-0")
    assert failure.message == "step 1 waited longer than 4 s for worker-0, worker-2"
    with pytest.raises(Over):
        waiting.result(PATIENCE)


def test_the_wait_of_the_first_step_begins_when_the_last_worker_has_joined(server: ParameterServer, clock: HandClock) -> None:
    server.join(0)
    (waiting,) = pushed(server, 0)
    clock.seconds = 8.0
    server.join(1)
    server.join(2)
    attending = ThreadPoolExecutor(1).submit(server.attend)
    for worker in (1, 2):
        threading.Thread(target=server.push, args=(worker, gradient(worker)), kwargs={"base_version": 0}).start()
    assert waiting.result(PATIENCE).version == 1
    server.fail(Failure(reason="JOB_OVER", message="enough"))
    failure = attending.result(PATIENCE)
    assert failure is not None
    assert failure.reason == "JOB_OVER"


def test_silence_beyond_the_lease_is_a_loss(server: ParameterServer, clock: HandClock) -> None:
    joined(server)
    clock.seconds = 8.0
    server.heard(0)
    server.heard(2)
    clock.seconds = 9.0
    failure = server.attend()
    assert failure is not None
    assert failure.message == "worker-1 was lost at step 1: nothing was heard of it for 9 s"


def test_a_worker_that_waits_at_the_barrier_needs_to_say_nothing(server: ParameterServer, clock: HandClock) -> None:
    joined(server)
    pushed(server, 0)
    clock.seconds = 9.0
    server.heard(1)
    server.heard(2)
    failure = server.attend()
    assert failure is not None
    assert failure.reason == "STEP_TIMEOUT"


@pytest.mark.parametrize(("worker", "code"), [(3, Code.IDENTITY), (-1, Code.IDENTITY), (0, Code.FULL)])
def test_only_the_workers_of_the_job_join_and_each_once(server: ParameterServer, worker: int, code: Code) -> None:
    server.join(0)
    with pytest.raises(Refused) as refused:
        server.join(worker)
    assert refused.value.code is code


def test_the_job_is_over_when_every_worker_has_left(server: ParameterServer) -> None:
    joined(server)
    for worker in range(3):
        server.finish(worker)
        server.lose(worker)
    assert server.attend() is None


def test_reports_tell_everything_once_and_end_with_the_job(server: ParameterServer) -> None:
    joined(server)
    early = pushed(server, 0, 1)
    server.push(2, gradient(2), base_version=0)
    assert all(waiting.result(PATIENCE) for waiting in early)
    report = server.report()
    assert report is not None
    assert [(update.version, update.learning_rate) for update in report.updates] == [(1, 0.5)]
    assert report.updates[0].loss == pytest.approx((1 * 0 + 2 * 1 + 3 * 2) / 6)
    assert (list(report.joined), report.accepted, report.rejected) == ([0, 1, 2], (1, 1, 1), 0)
    server.fail(Failure(reason="JOB_OVER", message="enough"))
    assert server.report() is None


def test_a_report_without_news_comes_when_silence_has_lasted(server: ParameterServer) -> None:
    joined(server)
    assert server.report() is not None
    report = server.report(silence=0.0)
    assert report is not None
    assert (list(report.updates), list(report.joined), report.accepted) == ([], [], (0, 0, 0))
    server.fail(Failure(reason="JOB_OVER", message="enough"))
    assert server.report(silence=0.0) is None


def test_a_version_that_will_never_be_is_not_waited_for(server: ParameterServer) -> None:
    with pytest.raises(Refused, match="version 3 will never be: the last one is 2"):
        server.pull(at_least=3)
