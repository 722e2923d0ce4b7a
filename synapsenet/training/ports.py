"""What training needs from outside: its records, processes, experiments to log to, and versions that it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from synapsenet.platform.artifacts import Artifact
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.work import UnitOfWork
from synapsenet.training.model import Failure, Job, JobState, Worker
from synapsenet.training.spec import ModelVersion


class Jobs(ABC):
    """The jobs, inside one unit of work."""

    @abstractmethod
    def add(self, job: Job) -> None:
        """Keep a new job."""

    @abstractmethod
    def put(self, job: Job) -> None:
        """Keep the job in the place of what was kept under its id."""

    @abstractmethod
    def get(self, job_id: str) -> Job:
        """The job.

        Raises:
            NotFound: JOB_UNKNOWN.
        """

    @abstractmethod
    def page(self, page: PageRequest, *, states: Set[JobState], experiment_id: str) -> Page[Job]:
        """Jobs, the newest first and among equals by id; with `states` or `experiment_id` (not empty) only these."""

    @abstractmethod
    def in_state(self, state: JobState, *, limit: int) -> Sequence[Job]:
        """Up to `limit` jobs in `state`, the oldest first and among equals by id."""

    @abstractmethod
    def count(self, state: JobState) -> int:
        """How many jobs are in `state`."""


class Workers(ABC):
    """The workers of jobs, inside one unit of work."""

    @abstractmethod
    def put(self, workers: Sequence[Worker]) -> None:
        """Keep each in the place of what was kept under its job and index."""

    @abstractmethod
    def of(self, job_id: str) -> Sequence[Worker]:
        """The workers of a job by index; none for a job that never started."""


class TrainingWork(UnitOfWork):
    """One transaction over training's records."""

    jobs: Jobs
    workers: Workers


class ProcessKind(StrEnum):
    """What a process of a job does."""

    PARAMETER_SERVER = "parameter_server"
    WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A process to start: `index` is the worker's, or the shard of the parameter server; `token` lets it attach to the job."""

    job_id: str
    kind: ProcessKind
    index: int
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended: whether with exit code 0, and in one sentence."""

    clean: bool
    sentence: str


class Process(ABC):
    """A process that was started."""

    pid: int

    @abstractmethod
    async def wait(self) -> Ended:
        """Return once it has ended."""

    @abstractmethod
    async def stop(self, grace: float) -> Ended:
        """Ask it to end, kill it `grace` seconds later if it has not, and return once it has ended."""


class Processes(ABC):
    """Where processes of jobs run. None outlives the platform."""

    @abstractmethod
    async def start(self, launch: Launch) -> Process:
        """Start a process; it attaches by itself.

        Raises:
            SynapseError: it could not be started.
        """

    @abstractmethod
    def server_address(self, job_id: str) -> str:
        """Where the parameter server of a job shall listen, `unix:path` or `host:port`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to log to: `params` are what comparisons compare, `tags` only tell where it came from."""

    experiment_id: str
    name: str
    seed: int
    params: Mapping[str, str | int | float | bool]
    tags: Mapping[str, str]
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Points of one metric: parallel steps, values, and instants in microseconds since 1970."""

    metric: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    times_us: tuple[int, ...]


class RunLog(ABC):
    """The experiments, as far as training writes to them. Every call may be repeated without doing harm."""

    @abstractmethod
    async def start(self, run: NewRun) -> str:
        """Create the run; its id.

        Raises:
            SynapseError: the experiment is unknown, or the experiments are away.
        """

    @abstractmethod
    async def log(self, run_id: str, points: Sequence[Points]) -> None:
        """Store points; durable on return."""

    @abstractmethod
    async def finish(self, run_id: str, state: JobState, reason: str) -> None:
        """End the run as a job in the final `state` ended."""


class VersionLife(ABC):
    """The lives of model versions, as far as jobs drive them. Every call may be repeated without doing harm."""

    @abstractmethod
    async def require(self, version: ModelVersion) -> None:
        """Pass if a job may take the version into training now.

        Raises:
            NotFound: there is no such model, or version.
            FailedPrecondition: TRANSITION_NOT_ALLOWED.
        """

    @abstractmethod
    async def begin(self, version: ModelVersion, job_id: str) -> None:
        """The job trains the version from now on.

        Raises:
            SynapseError: it may not, or the coordinator is away.
        """

    @abstractmethod
    async def deliver(self, version: ModelVersion, artifact: Artifact, data: AsyncIterator[bytes]) -> None:
        """`data`, a safetensors file, is the version's artifact from now on; the version is validating.

        Raises:
            SynapseError: the registry does not take it, or is away.
        """

    @abstractmethod
    async def fail(self, version: ModelVersion, job_id: str, failure: Failure) -> None:
        """The job does not train the version any more, for that reason; nothing happens unless it did.

        Raises:
            Unavailable: the coordinator is away.
        """
