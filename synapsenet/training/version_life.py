"""What a job does to the model version that it makes: it takes it into training, delivers it, or says why not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, DeadlineExceeded, SynapseError
from synapsenet.platform.artifacts import Artifact, ArtifactStore
from synapsenet.platform.paging import LARGEST_SIZE, PageRequest
from synapsenet.platform.work import WorkFactory
from synapsenet.training.model import Failure, Job, JobState
from synapsenet.training.options import TrainingOptions
from synapsenet.training.ports import TrainingWork, VersionLife
from synapsenet.training.recording import insist

_GIVEN_UP = frozenset({JobState.FAILED, JobState.CANCELLED})

_AGAIN_S = 1.0

_log = logging.getLogger(__name__)


async def begin(job: Job, life: VersionLife, *, timeout: float) -> None:
    """Take the job's version, if it has one, into training.

    Raises:
        SynapseError: the version is unknown, is not to be trained, or the coordinator is away.
    """
    if (version := job.spec.model_version) is not None:
        try:
            async with asyncio.timeout(timeout):
                await life.begin(version, job.id)
        except TimeoutError:
            raise _silent("the coordinator of model versions did not answer in time") from None


async def deliver(job: Job, artifact: Artifact, life: VersionLife, store: ArtifactStore, *, timeout: float) -> None:
    """Have the registry keep the parameters as the artifact of the job's version, if it has one; it is validating then.

    Raises:
        SynapseError: the registry refused it, or is away.
    """
    if (version := job.spec.model_version) is not None:
        try:
            async with asyncio.timeout(timeout):
                await life.deliver(version, artifact, store.read(artifact.sha256))
        except TimeoutError:
            raise _silent("the registry did not take the parameters in time") from None


class Abandonment:
    """Tells the coordinator why versions will not come from their jobs; `run` is its background task.

    That is told until it is heard, also after a restart: a version that nobody trains any more must not look as if.
    """

    def __init__(self, life: VersionLife, *, work: WorkFactory[TrainingWork], clock: Clock, options: TrainingOptions) -> None:
        self._life = life
        self._work = work
        self._clock = clock
        self._timeout = options.lifecycle_timeout_s
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(LARGEST_SIZE)

    def add(self, job: Job) -> None:
        """The job is over; nothing is told of one that succeeded or makes no version."""
        if job.spec.model_version is None or job.state not in _GIVEN_UP:
            return
        if self._jobs.full():
            _log.error("the coordinator hears of the end of %s after the next start only: too many wait before it", job.id)
        else:
            self._jobs.put_nowait(job)

    async def recall(self) -> None:
        """Add the newest jobs that ended before the platform did; telling twice does no harm."""
        page = PageRequest(size=LARGEST_SIZE)
        former: Sequence[Job] = (await self._work.read(lambda tx: tx.jobs.page(page, states=_GIVEN_UP, experiment_id=""))).items
        for job in reversed(former):
            self.add(job)

    async def run(self) -> None:
        """Tell, job by job, until cancelled."""
        while True:
            job = await self._jobs.get()
            try:
                await insist(partial(self._tell, job), self._clock)
            except (Aborted, DeadlineExceeded) as error:  # who holds the model goes first
                _log.warning("the end of %s is told again: %s", job.id, error.public)
                await self._clock.sleep(_AGAIN_S)
                self.add(job)
            except SynapseError as refusal:
                _log.warning("the version of %s stays as it is: %s", job.id, refusal.public)

    async def _tell(self, job: Job) -> None:
        version = job.spec.model_version
        if version is None:
            return
        failure = job.failure or Failure(reason="JOB_CANCELLED", message=f"job {job.id} was cancelled")
        try:
            async with asyncio.timeout(self._timeout):
                await self._life.fail(version, job.id, failure)
        except TimeoutError:
            raise _silent("the coordinator of model versions did not answer in time") from None


def undelivered(error: SynapseError) -> Failure:
    """Why a job failed whose parameters are complete, and not where they should be."""
    return Failure(reason=error.reason, message=f"the parameters could not be delivered: {error.public}")


def _silent(sentence: str) -> SynapseError:
    return DeadlineExceeded("VERSION_SILENT", sentence, remedy="create the job again")
