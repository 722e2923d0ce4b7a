"""What kills and stalls of a job's processes do: the job ends with a reason that names the culprit, and nothing outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from safetensors.numpy import load

from synapsenet.training.options import TrainingOptions
from synapsenet_api.experiments.v1 import experiment_service_pb2 as experiments_pb
from synapsenet_api.experiments.v1 import run_pb2
from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import training_service_pb2 as pb
from tests.training_platform import TrainingPlatform, training_platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDLESS = 10_000_000
CREATE = experiments_pb.CreateExperimentRequest(name="chaos")
LEASE_S = 2.0  # short, and longer than a busy machine lets a process wait for its turn
OPTIONS = TrainingOptions(concurrent_jobs=2, lease_ttl_s=LEASE_S, stop_grace_s=1.0, step_timeout_s=20.0)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TrainingPlatform]:
    async with training_platform(tmp_path_factory.mktemp("training"), OPTIONS) as running:
        yield running


def processes(job_id: str) -> dict[str, int]:
    """Process ids of a job by what they are: `parameter_server-0`, `worker-1`."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        command = child.cmdline()
        if job_id in command:
            role = command[command.index("-m") + 1].rpartition(".")[2].removeprefix("training_")
            found[f"{role}-{command[command.index('--index') + 1]}"] = child.pid
    return found


async def run_of(platform: TrainingPlatform, job: job_pb2.Job) -> experiments_pb.GetRunResponse:
    """The run that the job logs to."""
    return await platform.experiments.GetRun(experiments_pb.GetRunRequest(run_id=job.run_id), timeout=10)


async def training(platform: TrainingPlatform, *, workers: int = 3, step: int = 5, **changes: object) -> str:
    """A job that has no end of its own, in the middle of its work."""
    spec = platform.spec(steps=ENDLESS, workers=job_pb2.Workers(count=workers), **changes)
    job_id = await platform.create(spec)
    await platform.until(job_id, step=step)
    return job_id


@pytest.mark.parametrize("victim", [0, 1, 2])
async def test_a_killed_worker_fails_the_job_by_its_name(platform: TrainingPlatform, victim: int) -> None:
    job_id = await training(platform)
    pids = processes(job_id)
    assert set(pids) == {"parameter_server-0", "worker-0", "worker-1", "worker-2"}
    os.kill(pids[f"worker-{victim}"], signal.SIGKILL)
    job = await platform.end_of(job_id)
    assert (job.state, job.failure.reason) == (job_pb2.JOB_STATE_FAILED, "WORKER_LOST")
    assert job.failure.worker_id == f"worker-{victim}"
    assert f"worker-{victim}" in job.failure.message
    assert not any(map(psutil.pid_exists, pids.values()))
    workers = await platform.workers(job_id)
    assert [worker.state for worker in workers] == [job_pb2.WORKER_STATE_LOST] * 3
    assert "SIGKILL" in workers[victim].exit


async def test_a_killed_parameter_server_fails_the_job_and_takes_its_workers_along(platform: TrainingPlatform) -> None:
    job_id = await training(platform)
    pids = processes(job_id)
    os.kill(pids["parameter_server-0"], signal.SIGKILL)
    job = await platform.end_of(job_id)
    assert (job.state, job.failure.reason, job.failure.worker_id) == (
        job_pb2.JOB_STATE_FAILED,
        "PARAMETER_SERVER_LOST",
        "",
    )
    assert not any(map(psutil.pid_exists, pids.values()))


async def test_a_stopped_worker_is_lost_when_its_lease_runs_out(platform: TrainingPlatform) -> None:
    job_id = await training(platform)
    pids = processes(job_id)
    os.kill(pids["worker-1"], signal.SIGSTOP)
    job = await platform.end_of(job_id)
    assert (job.failure.reason, job.failure.worker_id) == ("WORKER_LOST", "worker-1")
    assert f"nothing was heard of it for {LEASE_S:g} s" in job.failure.message
    assert not any(map(psutil.pid_exists, pids.values()))


async def test_a_stopped_parameter_server_is_lost_when_its_lease_runs_out(platform: TrainingPlatform) -> None:
    job_id = await training(platform)
    pids = processes(job_id)
    os.kill(pids["parameter_server-0"], signal.SIGSTOP)
    job = await platform.end_of(job_id)
    assert (job.failure.reason, job.failure.worker_id) == ("PARAMETER_SERVER_LOST", "")
    assert f"nothing was heard of it for {LEASE_S:g} s" in job.failure.message
    assert not any(map(psutil.pid_exists, pids.values()))


async def test_a_worker_that_dies_before_it_joins_is_lost_too(platform: TrainingPlatform) -> None:
    job_id = await platform.create(platform.spec(steps=ENDLESS))
    while "worker-1" not in (pids := processes(job_id)):
        await asyncio.sleep(0.01)
    os.kill(pids["worker-1"], signal.SIGKILL)
    job = await platform.end_of(job_id)
    assert (job.state, job.failure.reason, job.failure.worker_id) == (
        job_pb2.JOB_STATE_FAILED,
        "WORKER_LOST",
        "worker-1",
    )
    assert processes(job_id) == {}


async def test_a_kill_in_one_job_does_not_touch_another(platform: TrainingPlatform) -> None:
    victim = await training(platform, workers=1)
    bystander = await platform.create(platform.spec(steps=400))
    await platform.until(bystander, step=5)
    os.kill(processes(victim)["worker-0"], signal.SIGKILL)
    assert (await platform.end_of(victim)).state == job_pb2.JOB_STATE_FAILED
    assert (await platform.end_of(bystander)).state == job_pb2.JOB_STATE_SUCCEEDED


async def test_the_same_job_after_a_failed_one_learns_to_the_same_bits(platform: TrainingPlatform) -> None:
    untouched = await platform.create(platform.spec())
    await platform.end_of(untouched)
    job_id = await training(platform)
    os.kill(processes(job_id)["worker-0"], signal.SIGKILL)
    await platform.end_of(job_id)
    again = await platform.create(platform.spec())
    await platform.end_of(again)
    one, other = load(await platform.parameters(untouched)), load(await platform.parameters(again))
    assert {name: tensor.tobytes() for name, tensor in one.items()} == {
        name: tensor.tobytes() for name, tensor in other.items()
    }


async def test_the_run_of_a_failed_job_is_failed_and_keeps_the_steps_that_were_made(platform: TrainingPlatform) -> None:
    created = await platform.experiments.CreateExperiment(CREATE, timeout=10)
    job_id = await training(platform, step=50, experiment_id=created.experiment.id)
    os.kill(processes(job_id)["worker-2"], signal.SIGKILL)
    job = await platform.end_of(job_id)
    run = (await run_of(platform, job)).run
    assert (run.state, run.state_reason) == (run_pb2.RUN_STATE_FAILED, job.failure.message)
    loss = run.metrics["loss"]
    assert loss.count == loss.last_step == job.progress.step >= 50


async def test_a_restart_of_the_platform_fails_what_was_running_and_runs_what_was_waiting(tmp_path: Path) -> None:
    options = TrainingOptions(concurrent_jobs=1, stop_grace_s=1.0)
    async with training_platform(tmp_path, options) as before:
        created = await before.experiments.CreateExperiment(CREATE, timeout=10)
        running = await training(before, experiment_id=created.experiment.id)
        waiting = await before.create(before.spec(steps=20))
        pids = processes(running)
    assert not any(map(psutil.pid_exists, pids.values()))
    async with training_platform(tmp_path, options) as after:
        interrupted = (await after.training.GetJob(pb.GetJobRequest(job_id=running), timeout=10)).job
        assert (interrupted.state, interrupted.failure.reason) == (job_pb2.JOB_STATE_FAILED, "INTERRUPTED")
        async with asyncio.timeout(20):
            while (run := (await run_of(after, interrupted)).run).state == run_pb2.RUN_STATE_RUNNING:
                await asyncio.sleep(0.01)
        assert (run.state, run.state_reason) == (run_pb2.RUN_STATE_FAILED, interrupted.failure.message)
        assert (await after.end_of(waiting)).state == job_pb2.JOB_STATE_SUCCEEDED
