"""A database that cannot take records for a while: the job waits for it, and whatever runs beside the job goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.sql.training import SqlTrainingWork, metadata
from synapsenet.adapters.sql.work import SqlWork, open_work
from synapsenet.errors import ResourceExhausted, Unavailable
from synapsenet.ids import SeededIds
from synapsenet.platform.work import ANONYMOUS
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.training import spec
from synapsenet.training.changes import Changes
from synapsenet.training.execution import Surroundings
from synapsenet.training.model import JobState
from synapsenet.training.options import TrainingOptions
from synapsenet.training.ports import Launch, NewRun, Process, Processes, RunLog, VersionLife
from synapsenet.training.runner import JobRunner
from synapsenet.training.service import Training
from synapsenet.training.spec import ModelVersion

T = TypeVar("T")
DEADLINE = 10.0


class Filling:
    """Units of work whose disk is full while `full` is set."""

    def __init__(self, work: SqlWork[SqlTrainingWork]) -> None:
        self._work = work
        self.full = False

    async def run(self, commit: Callable[[SqlTrainingWork], T]) -> T:
        if self.full:
            raise ResourceExhausted("STORAGE_FULL", "the disk is full")
        return await self._work.run(commit)

    async def read(self, query: Callable[[SqlTrainingWork], T]) -> T:
        return await self._work.read(query)


class NoProcesses(Processes):
    """A host that starts nothing, and whose disk fills when it is asked to."""

    work: Filling

    async def start(self, launch: Launch) -> Process:
        self.work.full = True
        raise Unavailable("CHILD_NOT_STARTED", "no process can be started")

    def server_address(self, job_id: str) -> str:
        return f"unix:{job_id}"


class NoLog(RunLog):
    """Nothing is logged by jobs without an experiment."""

    async def start(self, run: NewRun) -> str:
        raise AssertionError(run)

    async def log(self, run_id: str, points: object) -> None:
        raise AssertionError(points)

    async def finish(self, run_id: str, state: JobState, reason: str) -> None:
        raise AssertionError(run_id)


class NoVersions(VersionLife):
    """Nothing is told of versions by jobs that make none."""

    async def require(self, version: ModelVersion) -> None:
        raise AssertionError(version)

    async def begin(self, version: ModelVersion, job_id: str) -> None:
        raise AssertionError(version)

    async def deliver(self, version: ModelVersion, artifact: object, data: object) -> None:
        raise AssertionError(version)

    async def fail(self, version: ModelVersion, job_id: str, failure: object) -> None:
        raise AssertionError(version)


async def test_a_job_is_taken_and_its_end_recorded_once_the_disk_has_room_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, processes = FakeClock(), NoProcesses()

    async def waited() -> None:
        """Until the runner has met the full disk, and then until it has room."""
        caplog.clear()
        async with asyncio.timeout(DEADLINE):
            while "the record of a job waits" not in caplog.text:
                await asyncio.sleep(0.01)
        processes.work.full = False
        await clock.advance(1.0)

    async with open_work(
        tmp_path / "training.sqlite",
        area="training",
        metadata=metadata,
        unit=SqlTrainingWork,
        clock=clock,
        event_ids=SeededIds("event", 1),
    ) as work:
        processes.work = Filling(work)
        surroundings = Surroundings(
            work=processes.work,
            processes=processes,
            log=NoLog(),
            versions=NoVersions(),
            artifacts=open_artifacts(tmp_path / "artifacts", clock),
            clock=clock,
            changes=Changes(),
            options=TrainingOptions(),
        )
        runner = JobRunner(surroundings, tokens=SeededIds("token", 1))
        training = Training(surroundings, runner=runner, ids=SeededIds("job", 1))
        job = await training.create(spec(), ANONYMOUS)
        processes.work.full = True
        running = asyncio.create_task(runner.run())
        try:
            await waited()  # to be taken
            await waited()  # to be recorded as failed
            async with asyncio.timeout(DEADLINE):
                while not (ended := await training.get(job.id)).state.final:
                    await asyncio.sleep(0.01)
            assert (ended.state, ended.failure and ended.failure.reason) == (JobState.FAILED, "PARAMETER_SERVER_LOST")
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.wait([running])
