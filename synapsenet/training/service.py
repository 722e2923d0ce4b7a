"""Training's use cases: jobs asked for, followed, ended, and their parameters read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence, Set

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from synapsenet.ids import IdSource
from synapsenet.platform.artifacts import Artifact
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.work import Request
from synapsenet.training.availability import refuse_what_is_to_come
from synapsenet.training.execution import Surroundings
from synapsenet.training.live_job import LiveJob
from synapsenet.training.model import Job, JobState, TrainableModel, Worker
from synapsenet.training.ports import TrainingWork
from synapsenet.training.recording import record
from synapsenet.training.runner import JobRunner
from synapsenet.training.spec import JobSpec
from synapsenet.training.trainable import AllowList

_WATCH_INTERVAL = 0.05


class Training:
    """Training jobs for those who start and follow them; `runner` carries them out."""

    def __init__(self, surroundings: Surroundings, *, runner: JobRunner, ids: IdSource) -> None:
        self._around = surroundings
        self._work = surroundings.work
        self._clock: Clock = surroundings.clock
        self._options = surroundings.options
        self._runner = runner
        self._ids = ids
        self._models = AllowList(surroundings.options.models)

    async def create(self, spec: JobSpec, request: Request) -> Job:
        """Accept a job; it starts as soon as there is room.

        Raises:
            InvalidArgument: JOB_SPEC_INVALID, MODEL_NOT_ALLOWED, MODEL_ARGUMENTS_INVALID, PARAMETERS_TOO_LARGE.
            NotYetAvailable: NOT_YET_AVAILABLE, an option that a later release brings.
            AlreadyExists: REQUEST_ID_REUSED.
            ResourceExhausted: JOBS_QUEUED, too many jobs wait.
            NotFound: the version that it is to make is unknown.
            FailedPrecondition: TRANSITION_NOT_ALLOWED, that version is not to be trained.
        """
        refuse_what_is_to_come(spec)
        self._check_bounds(spec)
        await self._check_version(spec, request)
        job = Job(id=self._ids.next(), spec=spec, created_at=self._clock.now())

        def commit(tx: TrainingWork) -> Job:
            return tx.once(request, Job, lambda: self._admit(tx, job))

        created = await self._work.run(commit)
        self._runner.look()
        return created

    async def get(self, job_id: str) -> Job:
        """The job as it is now.

        Raises:
            NotFound: JOB_UNKNOWN.
        """
        return self._current(await self._work.read(lambda tx: tx.jobs.get(job_id)))

    async def list(self, page: PageRequest, *, states: Set[JobState], experiment_id: str) -> Page[Job]:
        """Jobs, the newest first; `states` (empty: every one) are those of the record, `experiment_id` may be empty."""
        found = await self._work.read(lambda tx: tx.jobs.page(page, states=states, experiment_id=experiment_id))
        return Page(tuple(self._current(job) for job in found.items), found.next_token)

    async def cancel(self, job_id: str) -> Job:
        """End the job, and return once none of its processes is left; a job that is over stays as it is.

        Raises:
            NotFound: JOB_UNKNOWN.
        """

        def commit(tx: TrainingWork) -> Job:
            job = tx.jobs.get(job_id)
            return record(tx, job.cancelled(self._clock.now())) if job.state is JobState.QUEUED else job

        await self._work.run(commit)
        self._around.changes.announce(job_id)
        while True:
            changed = self._around.changes.expect(job_id)
            job = await self._work.read(lambda tx: tx.jobs.get(job_id))
            if job.state.final:
                return job
            if live := self._runner.live(job_id):
                live.end(cancelled=True)
            await changed.wait()

    async def watch(self, job_id: str) -> AsyncIterator[Job]:
        """The job now and after each change, up to a final state; changes in quick succession come as one.

        Raises:
            NotFound: JOB_UNKNOWN.
        """
        shown: Job | None = None
        while shown is None or not shown.state.final:
            changed = self._around.changes.expect(job_id)
            job = await self.get(job_id)
            if job != shown:
                shown = job
                yield job
                await self._clock.sleep(_WATCH_INTERVAL)
            else:
                await changed.wait()

    async def workers(self, job_id: str, page: PageRequest) -> Page[Worker]:
        """The workers by index; none before the job has started.

        Raises:
            NotFound: JOB_UNKNOWN.
        """

        def query(tx: TrainingWork) -> Sequence[Worker]:
            tx.jobs.get(job_id)
            return tx.workers.of(job_id)

        live = self._runner.live(job_id)
        found = live.workers if live else await self._work.read(query)
        after = page.after[0] if page.after else -1
        rest = [worker for worker in found if worker.index > after]
        return page.page(rest, key=lambda worker: [worker.index])

    async def parameters(self, job_id: str) -> tuple[Artifact, AsyncIterator[bytes]]:
        """The parameter file of a job that succeeded (safetensors), and its bytes.

        Raises:
            NotFound: JOB_UNKNOWN; PARAMETERS_GONE, the file is no longer stored.
            FailedPrecondition: JOB_NOT_SUCCEEDED.
            DataLoss: ARTIFACT_CORRUPT, while the bytes are read.
        """
        job = await self.get(job_id)
        if job.result is None:
            raise FailedPrecondition(
                "JOB_NOT_SUCCEEDED",
                f"job {job_id} is {job.state}",
                remedy="wait until it has succeeded",
                metadata={"job_id": job_id},
            )
        artifact = await self._around.artifacts.find(job.result.parameters_sha256)
        if artifact is None:
            raise NotFound(
                "PARAMETERS_GONE", f"the parameters of job {job_id} are no longer stored", metadata={"job_id": job_id}
            )
        return artifact, self._around.artifacts.read(artifact.sha256)

    def models(self, page: PageRequest) -> Page[TrainableModel]:
        """The allow-list, by name."""
        after = page.after[0] if page.after else ""
        rest = [model for model in self._models.describe() if model.entry_point > after]
        return page.page(rest, key=lambda model: [model.entry_point])

    def attach(self, job_id: str, token: str) -> LiveJob:
        """The running job that a process belongs to; see `JobRunner.attach`."""
        return self._runner.attach(job_id, token)

    def model_factory(self, spec: JobSpec) -> str:
        """The code that the job's model stands for, `package.module:factory`."""
        return self._models.factory(spec.model.entry_point)

    def _current(self, job: Job) -> Job:
        live = self._runner.live(job.id)
        return live.view if live and not job.state.final else job

    def _admit(self, tx: TrainingWork, job: Job) -> Job:
        if tx.jobs.count(JobState.QUEUED) >= self._options.queued_jobs:
            raise ResourceExhausted(
                "JOBS_QUEUED",
                f"{self._options.queued_jobs} jobs are waiting already",
                remedy="wait or cancel one",
                retry_after=5.0,
            )
        tx.jobs.add(job)
        return record(tx, job)

    async def _check_version(self, spec: JobSpec, request: Request) -> None:
        if spec.model_version is None or await self._work.read(lambda tx: tx.earlier(request)) is not None:
            return
        try:
            async with asyncio.timeout(self._options.lifecycle_timeout_s):
                await self._around.versions.require(spec.model_version)
        except TimeoutError:
            raise Unavailable("PEER_UNAVAILABLE", "the coordinator of model versions does not answer", remedy="retry") from None

    def _check_bounds(self, spec: JobSpec) -> None:
        most = self._options.workers_per_job
        if spec.workers.count > most:
            raise InvalidArgument(
                "JOB_SPEC_INVALID",
                f"spec.workers.count is above {most}",
                field="spec.workers.count",
                remedy=f"give {most} or less",
            )
        model = self._models.make(spec.model.entry_point, spec.model.arguments)
        if model.schema.size > self._options.max_parameter_bytes:
            raise InvalidArgument(
                "PARAMETERS_TOO_LARGE",
                f"the model has {model.schema.size} bytes of parameters",
                field="spec.model.arguments",
                remedy=f"make it {self._options.max_parameter_bytes} bytes or less",
            )
