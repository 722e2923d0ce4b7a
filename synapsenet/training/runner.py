"""Takes queued jobs in turn and has each carried out; the owner of everything that runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from synapsenet.clock import Clock
from synapsenet.errors import NotFound
from synapsenet.ids import IdSource
from synapsenet.platform.work import WorkFactory
from synapsenet.training.changes import Changes
from synapsenet.training.execution import Execution, Surroundings
from synapsenet.training.live_job import LiveJob
from synapsenet.training.model import Failure, Job, JobState
from synapsenet.training.ports import TrainingWork
from synapsenet.training.recording import insist, record
from synapsenet.training.run_logging import end_run
from synapsenet.training.version_life import Abandonment

_RECOVERED_AT_ONCE = 1_000


class JobRunner:
    """Runs up to `concurrent_jobs` jobs at a time; `run` is its background task."""

    def __init__(self, surroundings: Surroundings, *, tokens: IdSource) -> None:
        self._surroundings = surroundings
        self._work: WorkFactory[TrainingWork] = surroundings.work
        self._clock: Clock = surroundings.clock
        self._changes: Changes = surroundings.changes
        self._tokens = tokens
        self._live: dict[str, LiveJob] = {}
        self._interrupted: list[Job] = []
        self._wake = asyncio.Event()
        self._abandonment = Abandonment(surroundings.versions, work=self._work, clock=self._clock, options=surroundings.options)

    def live(self, job_id: str) -> LiveJob | None:
        """The job, if it is running."""
        return self._live.get(job_id)

    def attach(self, job_id: str, token: str) -> LiveJob:
        """The running job that a process belongs to.

        Raises:
            NotFound: JOB_NOT_RUNNING.
            PermissionDenied: JOB_TOKEN_WRONG.
        """
        live = self._live.get(job_id)
        if live is None:
            raise NotFound("JOB_NOT_RUNNING", f"job {job_id} is not running", metadata={"job_id": job_id})
        live.check(token)
        return live

    def look(self) -> None:
        """There may be a queued job."""
        self._wake.set()

    async def interrupt_former(self) -> None:
        """Fail the jobs that were running when the platform last ended; call it before anything runs."""
        failure = Failure(
            reason="INTERRUPTED", message="the platform was restarted while the job was running: create the job again"
        )

        def commit(tx: TrainingWork) -> list[Job]:
            states = (JobState.STARTING, JobState.RUNNING)
            former = [job for state in states for job in tx.jobs.in_state(state, limit=_RECOVERED_AT_ONCE)]
            return [record(tx, job.failed(failure, self._clock.now())) for job in former]

        while interrupted := await self._work.run(commit):
            self._interrupted += [job for job in interrupted if job.run_id]
        await self._abandonment.recall()

    async def run(self) -> None:
        """Run queued jobs until cancelled.

        A job that goes wrong fails alone, a full disk is waited for; a database that is damaged takes the platform down.
        """
        self._wake.set()
        concurrent = self._surroundings.options.concurrent_jobs
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._end_former_runs(), name="runs of interrupted jobs")
            tasks.create_task(self._abandonment.run(), name="versions of jobs that failed")
            while True:
                await self._wake.wait()
                self._wake.clear()
                while len(self._live) < concurrent and (live := await self._take()):
                    tasks.create_task(self._carry_out(live), name=live.job.id)

    async def _end_former_runs(self) -> None:
        """End the runs of the interrupted jobs, whom nobody else would tell."""
        timeout = self._surroundings.options.log_timeout_s
        for job in self._interrupted:
            reason = job.failure.message if job.failure else ""
            trouble = await end_run(job.run_id, self._surroundings.log, job.state, reason, timeout=timeout)
            if trouble:
                note = partial(_note, job_id=job.id, trouble=trouble)
                await insist(partial(self._work.run, note), self._clock)
        self._interrupted.clear()

    async def _take(self) -> LiveJob | None:
        """The oldest queued job, now starting."""

        def commit(tx: TrainingWork) -> Job | None:
            queued = tx.jobs.in_state(JobState.QUEUED, limit=1)
            return record(tx, queued[0].starting(self._clock.now())) if queued else None

        job = await insist(lambda: self._work.run(commit), self._clock)
        if job is None:
            return None
        live = LiveJob(
            job,
            token=self._tokens.next(),
            clock=self._clock,
            changes=self._changes,
            log_queue=self._surroundings.options.log_queue,
        )
        self._live[job.id] = live
        self._changes.announce(job.id)
        return live

    async def _carry_out(self, live: LiveJob) -> None:
        try:
            await Execution(live, self._surroundings).carry_out()
            self._abandonment.add(live.job)
        finally:
            del self._live[live.job.id]
            self._changes.announce(live.job.id)
            self._wake.set()


def _note(tx: TrainingWork, *, job_id: str, trouble: str) -> None:
    """Keep what went wrong with the job's log."""
    job = tx.jobs.get(job_id)
    tx.jobs.put(replace(job, logging_failure=job.logging_failure or trouble))
