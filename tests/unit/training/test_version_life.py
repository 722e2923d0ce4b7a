"""What is told of versions whose jobs ended without making them: until it is heard, and of nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from synapsenet.errors import Aborted, FailedPrecondition, Internal, SynapseError, Unavailable
from synapsenet.platform.artifacts import Artifact
from synapsenet.testing.clock import NOON, FakeClock
from synapsenet.testing.training import job
from synapsenet.training.model import Failure, Job, Result
from synapsenet.training.options import TrainingOptions
from synapsenet.training.ports import TrainingWork, VersionLife
from synapsenet.training.spec import ModelVersion
from synapsenet.training.version_life import Abandonment, begin, undelivered

T = TypeVar("T")
VERSION = ModelVersion(model_id="digits", version=3)
LOST = Failure(reason="WORKER_LOST", message="worker-1 was lost")
DEADLINE = 5.0


class Scripted(VersionLife):
    """Hears what it is told; `troubles` are raised first, one a call."""

    def __init__(self, *troubles: SynapseError) -> None:
        self.troubles = list(troubles)
        self.heard: list[tuple[str, str]] = []
        self.calls = 0

    async def require(self, version: ModelVersion) -> None:
        raise AssertionError(version)

    async def begin(self, version: ModelVersion, job_id: str) -> None:
        await asyncio.Event().wait()  # it never answers

    async def deliver(self, version: ModelVersion, artifact: Artifact, data: AsyncIterator[bytes]) -> None:
        raise AssertionError(version)

    async def fail(self, version: ModelVersion, job_id: str, failure: Failure) -> None:
        self.calls += 1
        if self.troubles:
            raise self.troubles.pop(0)
        self.heard.append((job_id, failure.reason))


class NoWork:
    """No records are asked for."""

    async def run(self, commit: Callable[[TrainingWork], T]) -> T:
        raise AssertionError(commit)

    async def read(self, query: Callable[[TrainingWork], T]) -> T:
        raise AssertionError(query)


def making(number: int) -> Job:
    """A job that makes a version, at work."""
    made = job(number)
    return replace(made, spec=replace(made.spec, model_version=VERSION)).starting(NOON).running()


async def told(life: Scripted, *jobs: Job) -> list[tuple[str, str]]:
    """What was heard once everything was told."""
    clock = FakeClock()
    abandonment = Abandonment(life, work=NoWork(), clock=clock, options=TrainingOptions())
    for one in jobs:
        abandonment.add(one)
    running = asyncio.create_task(abandonment.run())
    expected = sum(one.spec.model_version is not None and one.failure is not None for one in jobs)
    try:
        async with asyncio.timeout(DEADLINE):
            while len(life.heard) < expected and not running.done():
                await clock.advance(1.0)
    finally:
        running.cancel()
        await asyncio.wait([running])
    return life.heard


@pytest.mark.parametrize(
    "trouble", [Unavailable("PEER_UNAVAILABLE", "away"), Aborted("MODEL_BUSY", "busy"), Aborted("VERSION_CHANGED", "moved")]
)
async def test_it_is_told_until_it_is_heard(trouble: SynapseError) -> None:
    life = Scripted(trouble, trouble, trouble)
    assert await told(life, making(1).failed(LOST, NOON)) == [("job-01", "WORKER_LOST")]
    assert life.calls == 4


async def test_one_that_cannot_be_told_does_not_hold_up_the_next() -> None:
    life = Scripted(Internal("PEER_FAILED", "broken"))
    jobs = [making(number).failed(LOST, NOON) for number in (1, 2)]
    clock = FakeClock()
    abandonment = Abandonment(life, work=NoWork(), clock=clock, options=TrainingOptions())
    for one in jobs:
        abandonment.add(one)
    running = asyncio.create_task(abandonment.run())
    async with asyncio.timeout(DEADLINE):
        while not life.heard:
            await clock.advance(0)
    running.cancel()
    await asyncio.wait([running])
    assert life.heard == [("job-02", "WORKER_LOST")]


async def test_nothing_is_told_of_jobs_that_succeeded_or_make_no_version() -> None:
    result = Result(parameters_sha256="ab" * 32, parameters_size=8)
    others = [making(1).succeeded(result, NOON), job(2).failed(LOST, NOON)]
    assert await told(Scripted(), *others, making(3).failed(LOST, NOON)) == [("job-03", "WORKER_LOST")]


async def test_a_coordinator_that_does_not_answer_fails_the_job() -> None:
    with pytest.raises(SynapseError) as silent:
        await begin(making(1), Scripted(), timeout=0.01)
    assert silent.value.reason == "VERSION_SILENT"


def test_a_failed_delivery_keeps_the_registry_s_reason() -> None:
    refusal = FailedPrecondition("ARTIFACT_NOT_WANTED", "digits:3 is archived", remedy="create a new version")
    failure = undelivered(refusal)
    assert failure.reason == "ARTIFACT_NOT_WANTED"
    assert failure.message == "the parameters could not be delivered: digits:3 is archived: create a new version"
