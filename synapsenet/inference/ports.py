"""What inference asks of the world: a runtime, the registry, and its own records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from synapsenet.inference.model import Condition, Deployment, Signature, VersionKey
from synapsenet.inference.tensors import Array
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.work import Request, UnitOfWork

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
    def download(self, key: VersionKey) -> AsyncIterator[bytes]:
        """The version's artifact, in chunks."""

    @abstractmethod
    async def deploying(self, key: VersionKey) -> None:
        """Note that the version is being deployed; silent if it is noted already.

        Raises:
            FailedPrecondition: a version in its state cannot be deployed.
        """

    @abstractmethod
    async def serving(self, key: VersionKey) -> None:
        """Note that the version serves; silent if it is noted already."""

    @abstractmethod
    async def released(self, key: VersionKey, condition: Condition | None) -> None:
        """Note that the version serves no more, or never did because of `condition`; silent if it is noted already."""

    @abstractmethod
    async def troubled(self, key: VersionKey, condition: Condition | None) -> None:
        """Note what is wrong with a version that should serve; None: nothing any more."""


class Deployments(ABC):
    """The deployments, inside one unit of work; at most one a version."""

    @abstractmethod
    def add(self, deployment: Deployment, request: Request) -> None:
        """Keep a new deployment and the request that asked for it."""

    @abstractmethod
    def find(self, key: VersionKey) -> Deployment | None: ...

    @abstractmethod
    def request(self, key: VersionKey) -> Request:
        """The request that is being carried out on it, or was the last."""

    @abstractmethod
    def update(self, deployment: Deployment, request: Request | None = None) -> None:
        """Keep its state and condition, and `request` as the one that is being carried out from now on."""

    @abstractmethod
    def remove(self, key: VersionKey) -> None: ...

    @abstractmethod
    def all(self) -> Sequence[Deployment]:
        """Every deployment, in the order in which they were deployed."""

    @abstractmethod
    def page(self, request: PageRequest, *, model_id: str) -> Page[Deployment]:
        """A page ordered by model id and version; of one model if `model_id` is given."""


class InferenceWork(UnitOfWork):
    """One transaction over the deployments and their events."""

    deployments: Deployments
