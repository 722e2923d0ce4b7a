"""What inference asks of the world: a runtime, the registry, the coordinator, training sets, and its own records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from synapsenet.inference.model import Condition, Deployment, Signature, Stage, VersionKey
from synapsenet.inference.routing import Routes
from synapsenet.inference.tensors import Array
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.participation import Json, ParticipantWork
from synapsenet.platform.work import Request

T = TypeVar("T")


class Executable(ABC):
    """A model in memory, freed with the last reference to it."""

    runtime: str
    signature: Signature

    @abstractmethod
    def compute(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The outputs for `inputs`, both in the signature's order. Blocks; may be called from several threads at once.

        Raises:
            InvalidArgument: MODEL_FAILED, the model cannot be computed for these inputs.
        """


class Executor(ABC):
    """Where blocking work is done, off the event loop, a bounded number at once."""

    @abstractmethod
    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. Cancelling the caller lets work that has begun run to its end, unheard."""


class Runtime(ABC):
    """Loads artifacts of one or several formats."""

    @abstractmethod
    def load(self, artifact: bytes, *, artifact_format: str) -> Executable:
        """The model that `artifact` holds. Blocks.

        Raises:
            InvalidArgument: MODEL_UNREADABLE, MODEL_EXTERNAL_DATA, or MODEL_TYPE_UNSUPPORTED.
            FailedPrecondition: FORMAT_UNSUPPORTED.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """What the registry knows of a version.

    Attributes:
        artifact_sha256: empty if no artifact was uploaded.
        artifact_size: bytes.
        artifact_format: `onnx`, `safetensors`; empty without an artifact.
    """

    key: VersionKey
    model_name: str
    artifact_sha256: str
    artifact_size: int
    artifact_format: str


class Registry(ABC):
    """The registry, as far as inference needs it. Every call has a deadline and raises Unavailable if it is away."""

    @abstractmethod
    async def find(self, model: str, version: int) -> RegisteredVersion:
        """The version `version` of the model with that id or name.

        Raises:
            NotFound: there is no such model or version.
        """

    @abstractmethod
    async def resolve(self, model: str, alias: str) -> int:
        """The version that `alias` names.

        Raises:
            NotFound: there is no such model or alias.
        """

    @abstractmethod
    async def require(self, model: str) -> None:
        """Pass if there is a model with that id or name.

        Raises:
            NotFound: there is none.
        """

    @abstractmethod
    async def newest(self, model: str) -> int | None:
        """The newest version of the model that may be deployed or is; None: there is none.

        Raises:
            NotFound: there is no such model.
        """

    @abstractmethod
    def download(self, key: VersionKey) -> AsyncIterator[bytes]:
        """The version's artifact, in chunks."""


class Lifecycle(ABC):
    """The coordinator, as far as inference needs it. Every call has a deadline and raises Unavailable if it is away."""

    @abstractmethod
    async def begin_deployment(self, key: VersionKey, *, options: Json) -> str:
        """Ask for the version to serve beside those that serve already, run by `options`; the operation's id.

        Raises:
            FailedPrecondition: MOVE_NOT_ALLOWED, a version in its state cannot be deployed.
            Aborted: another operation is at work on the model.
        """

    @abstractmethod
    async def begin_undeployment(self, key: VersionKey) -> str:
        """Ask for the version to serve no more; the operation's id.

        Raises:
            FailedPrecondition: MOVE_NOT_ALLOWED, a version in its state cannot be undeployed.
            Aborted: another operation is at work on the model.
        """

    @abstractmethod
    async def end(self, operation_id: str) -> None:
        """Return when the operation has succeeded.

        Raises:
            SynapseError: why it did not, as whoever carried it out said it.
        """

    @abstractmethod
    async def report(self, key: VersionKey, *, reporter: str, condition: Condition | None) -> None:
        """Say that something is wrong with a version that should serve; None: nothing any more."""


class EvaluationSets(ABC):
    """The training sets of the feature store, to evaluate on."""

    @abstractmethod
    async def read(self, set_id: str) -> Mapping[str, Array]:
        """The columns by name, in the set's order, each with one row an example.

        Raises:
            NotFound: there is no such set.
            ResourceExhausted: DATA_TOO_LARGE.
            DataLoss: TRAINING_SET_CORRUPT.
            Unavailable: the feature store is away.
        """


class Deployments(ABC):
    """The deployments, inside one unit of work; at most one a version."""

    @abstractmethod
    def add(self, deployment: Deployment, request: Request) -> None:
        """Keep a new deployment and the request that asked for it."""

    @abstractmethod
    def find(self, key: VersionKey) -> Deployment | None: ...

    @abstractmethod
    def request(self, key: VersionKey) -> Request:
        """The request that is to be answered once its operation has ended; anonymous: nobody waits under an id."""

    @abstractmethod
    def update(self, deployment: Deployment, request: Request | None = None) -> None:
        """Keep what became of it, and `request`, if one is given, as the one that is being carried out from now on."""

    @abstractmethod
    def remove(self, key: VersionKey) -> None: ...

    @abstractmethod
    def all(self) -> Sequence[Deployment]:
        """Every deployment, in the order in which they were deployed."""

    @abstractmethod
    def page(self, request: PageRequest, *, model_id: str) -> Page[Deployment]:
        """A page ordered by model id and version; of one model if `model_id` is given."""


class RouteTable(ABC):
    """Each model's routes, inside one unit of work."""

    @abstractmethod
    def find(self, model_id: str) -> Routes | None: ...

    @abstractmethod
    def put(self, routes: Routes) -> None: ...

    @abstractmethod
    def all(self) -> Sequence[Routes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaReport:
    """What a replica says came of a deployment there, for the replica that carries out an operation's step.

    Attributes:
        attempt: of the deployment, that it is about.
        stage: how far it came; None: the replica has nothing of it any more.
        generation: of the model's routes as the replica knows them.
        failure: why it came no further: the error's class, reason and message.
    """

    replica: str
    key: VersionKey
    order: int
    attempt: int
    stage: Stage | None
    generation: int
    failure: tuple[str, str, str] | None = None


class ReplicaReports(ABC):
    """The newest report of each replica about each version, inside one unit of work."""

    @abstractmethod
    def put(self, report: ReplicaReport) -> None: ...

    @abstractmethod
    def of(self, key: VersionKey) -> Sequence[ReplicaReport]: ...

    @abstractmethod
    def remove(self, key: VersionKey) -> None: ...


class InferenceWork(ParticipantWork):
    """One transaction over the deployments, the routes to them, and their events."""

    deployments: Deployments
    routes: RouteTable
    reports: ReplicaReports
