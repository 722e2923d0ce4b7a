"""Jobs that make a model version: where its life is while they train it, and when they end in each way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from synapsenet.training.options import TrainingOptions
from synapsenet_api.lifecycle.v1.version_status_pb2 import VersionStatus
from synapsenet_api.training.v1 import job_pb2
from synapsenet_client import FailedPrecondition, InvalidArgument, NotFound
from tests.training_platform import TrainingPlatform, training_platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEARD_S = 15.0
LONG = 1_000_000


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TrainingPlatform]:
    async with training_platform(tmp_path_factory.mktemp("training"), TrainingOptions(concurrent_jobs=2)) as running:
        yield running


class Trained:
    """A version that a job is to make."""

    def __init__(self, platform: TrainingPlatform, model_id: str, number: int) -> None:
        self._client = platform.client
        self.model_id = model_id
        self.number = number
        self.target = job_pb2.ModelVersionTarget(model_id=model_id, version=number)

    async def status(self) -> VersionStatus:
        return await self._client.lifecycle.status(self.model_id, self.number)

    async def until(self, state: str) -> VersionStatus:
        """Its status as soon as it is in `state`."""
        async with asyncio.timeout(HEARD_S):
            while (status := await self.status()).state != state:
                await asyncio.sleep(0.05)
        return status

    async def history(self) -> list[tuple[str, str]]:
        """Events and the states that they led to, the oldest first."""
        found = [(moved.event, moved.to_state) async for moved in self._client.lifecycle.list_transitions(self.model_id)]
        return found[::-1]


async def created(platform: TrainingPlatform, name: str) -> Trained:
    """A model with one version, which is to be trained."""
    model = await platform.client.models.create(name)
    version = await platform.client.registry.create_version(model.id)
    return Trained(platform, model.id, version.version)


async def test_a_job_takes_its_version_through_training_to_validating(platform: TrainingPlatform) -> None:
    version = await created(platform, "digits")
    job_id = await platform.create(platform.spec(model_version=version.target, steps=300))
    await platform.until(job_id, step=1)
    assert (await version.status()).state == "training"
    job = await platform.end_of(job_id)
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED, job.failure
    assert job.spec.model_version == version.target
    assert (await version.status()).state == "validating"
    assert await version.history() == [("create", "created"), ("train", "training"), ("upload", "validating")]
    shown = await platform.client.registry.get_version(version.model_id, version.number)
    assert shown.artifact.sha256 == job.result.parameters_sha256
    assert await platform.client.registry.read_artifact(version.model_id, version.number) == await platform.parameters(job_id)


async def test_a_job_that_is_cancelled_says_so_and_another_may_train_the_version(platform: TrainingPlatform) -> None:
    version = await created(platform, "cancelled")
    job_id = await platform.create(platform.spec(model_version=version.target, steps=LONG))
    await platform.until(job_id, step=1)
    await platform.client.training.cancel(job_id)
    status = await version.until("created")
    assert (status.condition.reason, job_id in status.condition.message) == ("JOB_CANCELLED", True)
    again = await platform.end_of(await platform.create(platform.spec(model_version=version.target)))
    assert again.state == job_pb2.JOB_STATE_SUCCEEDED, again.failure
    status = await version.status()
    assert (status.state, status.HasField("condition")) == ("validating", False)


async def test_a_worker_that_is_killed_is_named_as_the_version_s_condition(platform: TrainingPlatform) -> None:
    version = await created(platform, "killed")
    job_id = await platform.create(platform.spec(model_version=version.target, steps=LONG))
    await platform.until(job_id, step=1)
    os.kill((await platform.workers(job_id))[1].pid, signal.SIGKILL)
    job = await platform.end_of(job_id)
    status = await version.until("created")
    assert (status.condition.reason, status.condition.message) == ("WORKER_LOST", job.failure.message)
    assert "worker-1" in status.condition.message


async def test_a_version_that_is_being_trained_is_refused_to_another_job(platform: TrainingPlatform) -> None:
    version = await created(platform, "taken")
    spec = platform.spec(model_version=version.target, steps=LONG)
    first = await platform.client.training.create(spec, request_id="taken-once")
    await platform.until(first.id, step=1)
    with pytest.raises(FailedPrecondition, match="is training, where train cannot happen") as refused:
        await platform.client.training.create(spec)
    assert refused.value.reason == "TRANSITION_NOT_ALLOWED"
    assert (await platform.client.training.create(spec, request_id="taken-once")).id == first.id
    assert (await version.status()).state == "training"
    await platform.client.training.cancel(first.id)
    await version.until("created")


async def test_two_jobs_that_wait_for_one_version_do_not_end_each_other_s_training(platform: TrainingPlatform) -> None:
    version = await created(platform, "twice")
    before = [await platform.create(platform.spec(steps=LONG)) for _ in range(2)]  # as many as run at one time
    spec = platform.spec(model_version=version.target, steps=LONG)
    first, second = [(await platform.client.training.create(spec)).id for _ in range(2)]
    for job_id in before:
        await platform.client.training.cancel(job_id)
    ends = {asyncio.create_task(platform.end_of(job_id)) for job_id in (first, second)}
    done, running = await asyncio.wait(ends, timeout=HEARD_S, return_when=asyncio.FIRST_COMPLETED)
    (loser,) = [task.result() for task in done]
    assert (loser.state, loser.failure.reason) == (job_pb2.JOB_STATE_FAILED, "TRANSITION_NOT_ALLOWED")
    await platform.until(first if loser.id == second else second, step=20)
    assert (await version.status()).state == "training"
    assert [event for event, _ in await version.history()] == ["create", "train"]
    await platform.client.training.cancel(first if loser.id == second else second)
    await asyncio.wait(running)
    await version.until("created")


async def test_parameters_that_cannot_be_delivered_fail_the_job(platform: TrainingPlatform) -> None:
    version = await created(platform, "delivered")
    job_id = await platform.create(platform.spec(model_version=version.target, steps=1_000))
    await platform.until(job_id, step=1)
    await platform.client.lifecycle.archive(version.model_id, version.number)
    await version.until("archived")
    job = await platform.end_of(job_id)
    assert job.state == job_pb2.JOB_STATE_FAILED
    assert "could not be delivered" in job.failure.message
    assert (await version.status()).state == "archived"


@pytest.mark.parametrize(
    ("target", "kind", "said"),
    [
        (job_pb2.ModelVersionTarget(model_id="mdl-0000000000000000", version=1), NotFound, "mdl-0000000000000000"),
        (job_pb2.ModelVersionTarget(version=1), InvalidArgument, "model_id"),
        (job_pb2.ModelVersionTarget(model_id="digits"), InvalidArgument, "version"),
    ],
)
async def test_a_target_that_is_none_is_refused_at_once(
    platform: TrainingPlatform, target: job_pb2.ModelVersionTarget, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        await platform.client.training.create(platform.spec(model_version=target))


async def test_a_job_that_the_platform_s_end_interrupted_says_so_after_the_restart(tmp_path: Path) -> None:
    async with training_platform(tmp_path) as platform:
        version = await created(platform, "interrupted")
        job_id = await platform.create(platform.spec(model_version=version.target, steps=LONG))
        await platform.until(job_id, step=1)
    async with training_platform(tmp_path) as restarted:
        version = Trained(restarted, version.model_id, version.number)
        status = await version.until("created")
        assert status.condition.reason == "INTERRUPTED"
        assert await version.history() == [("create", "created"), ("train", "training"), ("fail_training", "created")]
