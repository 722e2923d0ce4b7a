"""Jobs and their workers as they are recorded, and how a job's state may change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from synapsenet.errors import FailedPrecondition
from synapsenet.training.spec import JobSpec


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


_NEXT = {
    JobState.QUEUED: {JobState.STARTING, JobState.FAILED, JobState.CANCELLED},
    JobState.STARTING: {JobState.RUNNING, JobState.FAILED, JobState.CANCELLED},
    JobState.RUNNING: {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED},
}


class WorkerState(StrEnum):
    """Where one worker is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job failed: a stable reason, a sentence, and the worker at fault if one is."""

    reason: str
    message: str
    worker_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The model at `version`, measured on the evaluation data: mean loss, share of right answers, examples behind both."""

    version: int
    loss: float
    accuracy: float
    examples: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is.

    Attributes:
        step: updates made.
        steps_per_second: over the time since all workers had joined.
        loss: mean loss of the examples of the last update.
        workers_running: workers that have joined and not left.
        rejected: gradients that were refused.
        accepted: gradients that were applied; in sync mode each with staleness 0.
    """

    step: int = 0
    steps_per_second: float = 0.0
    loss: float | None = None
    evaluation: Evaluation | None = None
    workers_running: int = 0
    rejected: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a job gave: its parameter file by content, and its last evaluation."""

    parameters_sha256: str
    parameters_size: int
    evaluation: Evaluation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker of a job; `index` is its place in the order of summation."""

    job_id: str
    index: int
    state: WorkerState = WorkerState.STARTING
    pid: int = 0
    incarnation: int = 1
    accepted: int = 0
    rejected: int = 0
    examples: int = 0
    exit: str = ""

    @property
    def id(self) -> str:
        return worker_id(self.index)


def worker_id(index: int) -> str:
    """What the worker at `index` is called: `worker-0`."""
    return f"worker-{index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A training job."""

    id: str
    spec: JobSpec
    state: JobState = JobState.QUEUED
    progress: Progress = Progress()
    failure: Failure | None = None
    result: Result | None = None
    run_id: str = ""
    logging_failure: str = ""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    def starting(self, at: datetime) -> Job:
        return replace(self._moved(JobState.STARTING), started_at=at)

    def running(self) -> Job:
        return self._moved(JobState.RUNNING)

    def succeeded(self, result: Result, at: datetime) -> Job:
        return replace(self._moved(JobState.SUCCEEDED), result=result, finished_at=at)

    def failed(self, failure: Failure, at: datetime) -> Job:
        return replace(self._moved(JobState.FAILED), failure=failure, finished_at=at)

    def cancelled(self, at: datetime) -> Job:
        return replace(self._moved(JobState.CANCELLED), finished_at=at)

    def _moved(self, state: JobState) -> Job:
        if state not in _NEXT.get(self.state, ()):
            raise FailedPrecondition(
                "JOB_STATE_CONFLICT", f"job {self.id} is {self.state} and cannot become {state}", metadata={"job_id": self.id}
            )
        return replace(self, state=state)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanged:
    """The event of every change of a job's state."""

    job_id: str
    state: JobState
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableModel:
    """A model on the allow-list, for people."""

    entry_point: str
    description: str
    arguments: dict[str, str]
