"""One job from its start to its end: its processes, what they report, its verdict, and the commit of what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from synapsenet.clock import Clock
from synapsenet.errors import SynapseError
from synapsenet.platform.artifacts import Artifact, ArtifactStore
from synapsenet.platform.work import WorkFactory
from synapsenet.training.changes import Changes
from synapsenet.training.live_job import LiveJob
from synapsenet.training.model import Failure, Job, JobState, Result, WorkerState, worker_id
from synapsenet.training.options import TrainingOptions
from synapsenet.training.parameter_file import file_header
from synapsenet.training.ports import Launch, Process, Processes, ProcessKind, RunLog, TrainingWork, VersionLife
from synapsenet.training.recording import insist, record
from synapsenet.training.run_logging import finish_run, log_points, new_run
from synapsenet.training.version_life import begin, deliver, undelivered

_log = logging.getLogger(__name__)

_HEADER_ROOM = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What jobs are carried out with."""

    work: WorkFactory[TrainingWork]
    processes: Processes
    log: RunLog
    versions: VersionLife
    artifacts: ArtifactStore
    clock: Clock
    changes: Changes
    options: TrainingOptions


class Execution:
    """Carries one job out."""

    def __init__(self, live: LiveJob, surroundings: Surroundings) -> None:
        self._live = live
        self._around = surroundings
        self._options = surroundings.options
        self._started: list[tuple[Launch, Process]] = []

    async def carry_out(self) -> None:
        """Return once the job is in a final state and none of its processes is left."""
        live, log = self._live, self._around.log
        artifact: Artifact | None = None
        logging_task = asyncio.create_task(log_points(live, log, timeout=self._options.log_timeout_s))
        logging_task.add_done_callback(self._blame)
        try:
            try:
                await self._open_run()
                await self._begin_version()
                await self._start_all()
                artifact = await self._follow()
            except SynapseError as error:
                live.end(failure=_failure(error))
            finally:
                await self._stop_all()
            job = await self._delivered(artifact)
            await self._flush(logging_task)
            reason = job.failure.message if job.failure else ""
            await finish_run(live, log, job.state, reason, timeout=self._options.log_timeout_s)
            ended = replace(job, logging_failure=live.logging_failure)
            live.job = await insist(lambda: self._commit(ended), self._around.clock)
        finally:
            logging_task.cancel()
            await asyncio.gather(logging_task, return_exceptions=True)

    async def _flush(self, logging_task: asyncio.Task[None]) -> None:
        """Return once all points have been sent on, or the task that does so is dead."""
        closing = asyncio.create_task(self._live.points.put(None))
        await asyncio.wait((closing, logging_task), return_when=asyncio.FIRST_COMPLETED)
        closing.cancel()
        await asyncio.gather(logging_task, return_exceptions=True)

    async def _open_run(self) -> None:
        if not self._live.job.spec.experiment_id:
            return
        try:
            async with asyncio.timeout(self._options.log_timeout_s):
                run_id = await self._around.log.start(new_run(self._live.job))
        except TimeoutError:
            failure = Failure(
                reason="EXPERIMENTS_SILENT", message="the experiments did not answer in time: create the job again"
            )
            self._live.end(failure=failure)
            return
        self._live.job = await self._commit(replace(self._live.job, run_id=run_id))

    async def _begin_version(self) -> None:
        if not self._live.verdict.done():
            await begin(self._live.job, self._around.versions, timeout=self._options.lifecycle_timeout_s)

    async def _start_all(self) -> None:
        live = self._live
        kinds = [(ProcessKind.PARAMETER_SERVER, 0), *((ProcessKind.WORKER, worker.index) for worker in live.workers)]
        for kind, index in kinds:
            if live.verdict.done():
                return
            launch = Launch(job_id=live.job.id, kind=kind, index=index, token=live.token)
            try:
                process = await self._around.processes.start(launch)
            except SynapseError as error:
                live.end(failure=_lost(launch, f"could not be started: {error.public}"))
                return
            self._started.append((launch, process))
            if kind is ProcessKind.WORKER:
                live.worker_started(index, process.pid)

    async def _follow(self) -> Artifact | None:
        """Wait for the job's verdict; what its parameters are stored as, if it came so far."""
        storing = asyncio.create_task(self._store())
        joining = asyncio.create_task(self._await_workers())
        tasks = [
            storing,
            joining,
            asyncio.create_task(self._await_end(joining, storing)),
            asyncio.create_task(self._await_limit()),
            *(asyncio.create_task(self._await_exit(launch, process)) for launch, process in self._started),
        ]
        try:
            for task in tasks:
                task.add_done_callback(self._blame)
            await asyncio.wait((self._live.verdict,))  # a cancelled wait leaves the future alone
            return None if not storing.done() or storing.exception() else storing.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _await_workers(self) -> None:
        live = self._live
        try:
            async with asyncio.timeout(self._options.start_timeout_s):
                await live.all_joined.wait()
        except TimeoutError:
            late = ", ".join(worker.id for worker in live.workers if worker.state is WorkerState.STARTING)
            message = f"after {self._options.start_timeout_s:g} s these workers had not joined: {late}"
            live.end(failure=Failure(reason="START_TIMEOUT", message=message))
            return
        live.job = await self._commit(live.job.running())

    async def _await_end(self, joining: asyncio.Task[None], storing: asyncio.Task[Artifact]) -> None:
        """The job has made it once it is known to run, its parameters are durable and every worker is done."""
        live = self._live
        await joining
        await storing
        try:
            async with asyncio.timeout(self._options.finish_timeout_s):
                await live.all_done.wait()
        except TimeoutError:
            message = f"{self._options.finish_timeout_s:g} s after the last step its workers were not done"
            live.end(failure=Failure(reason="FINISH_TIMEOUT", message=message))
        live.end()

    async def _await_limit(self) -> None:
        wished = self._live.job.spec.timeout or self._options.job_timeout_s
        limit = min(wished, self._options.job_timeout_s)
        await self._around.clock.sleep(limit)
        self._live.end(failure=Failure(reason="JOB_TIMEOUT", message=f"the job ran longer than {limit:g} s"))

    async def _await_exit(self, launch: Launch, process: Process) -> None:
        """A process that ends before the verdict is lost: it waits to be told to stop."""
        ended = await process.wait()
        self._live.end(failure=_lost(launch, f"was lost: {ended.sentence}"))

    async def _store(self) -> Artifact:
        """The final parameters in the artifact store, once they have arrived."""
        await self._live.uploading.wait()  # the schema comes before the first bytes
        limit = self._options.max_parameter_bytes + _HEADER_ROOM
        return await self._around.artifacts.write(self._file(), limit=limit)

    async def _file(self) -> AsyncIterator[bytes]:
        job = self._live.job
        yield file_header(self._live.schema.result(), {"job_id": job.id, "steps": str(job.spec.steps)})
        async for data in self._live.uploaded():
            yield data

    async def _stop_all(self) -> None:
        """Leave no process; those of a job that has made it were told so and have the grace to end by themselves."""
        verdict = self._live.verdict
        if verdict.done() and verdict.result().succeeded and self._started:
            leaving = [asyncio.create_task(process.wait()) for _, process in self._started]
            await asyncio.wait(leaving, timeout=self._options.stop_grace_s)
        ended = await asyncio.gather(*(process.stop(self._options.stop_grace_s) for _, process in self._started))
        for (launch, _), end in zip(self._started, ended, strict=True):
            if launch.kind is ProcessKind.WORKER:
                self._live.worker_ended(launch.index, end.sentence)

    def _blame(self, task: asyncio.Task[object]) -> None:
        """Whatever goes wrong in the job's own tasks ends this job, and no other."""
        if task.cancelled() or not (error := task.exception()):
            return
        if isinstance(error, SynapseError):
            self._live.end(failure=_failure(error))
        else:
            _log.error("job %s failed by an error of the platform", self._live.job.id, exc_info=error)
            self._live.end(failure=Failure(reason="INTERNAL", message="the platform made an error; its log tells which"))

    async def _delivered(self, artifact: Artifact | None) -> Job:
        """The job in its final state; only what was delivered has succeeded."""
        job = self._ended(artifact)
        if job.state is not JobState.SUCCEEDED or artifact is None:
            return job
        around, limit = self._around, self._options.delivery_timeout_s
        try:
            await deliver(job, artifact, around.versions, around.artifacts, timeout=limit)
        except SynapseError as error:
            return self._live.view.failed(undelivered(error), around.clock.now())
        return job

    def _ended(self, artifact: Artifact | None) -> Job:
        """The job in its final state."""
        live, now = self._live, self._around.clock.now()
        verdict = live.verdict.result()
        if verdict.cancelled:
            return live.view.cancelled(now)
        if verdict.failure or artifact is None:
            missing = Failure(reason="PARAMETERS_LOST", message="the job's parameters were not stored")
            return live.view.failed(verdict.failure or missing, now)
        evaluation = live.view.progress.evaluation
        result = Result(parameters_sha256=artifact.sha256, parameters_size=artifact.size, evaluation=evaluation)
        return live.view.succeeded(result, now)

    async def _commit(self, job: Job) -> Job:
        def commit(tx: TrainingWork) -> Job:
            tx.workers.put(self._live.workers)
            return record(tx, job)

        committed = await self._around.work.run(commit)
        self._around.changes.announce(job.id)
        return committed


def _lost(launch: Launch, how: str) -> Failure:
    if launch.kind is ProcessKind.WORKER:
        name = worker_id(launch.index)
        return Failure(reason="WORKER_LOST", message=f"{name} {how}", worker_id=name)
    return Failure(reason="PARAMETER_SERVER_LOST", message=f"the parameter server {how}")


def _failure(error: SynapseError) -> Failure:
    return Failure(reason=error.reason, message=error.public)
