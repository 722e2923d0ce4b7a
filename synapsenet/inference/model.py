"""What inference speaks of: element types, signatures, deployments and how they are run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, IntEnum

from synapsenet.errors import InvalidArgument


class ElementType(Enum):
    """The type of a tensor's elements; the value is its name in messages for people."""

    BOOL = "BOOL"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    FLOAT16 = "FLOAT16"
    FLOAT32 = "FLOAT32"
    FLOAT64 = "FLOAT64"
    BFLOAT16 = "BFLOAT16"
    STRING = "STRING"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a model expects of an input or promises of an output.

    Attributes:
        shape: extents, outermost first; -1 for one that may vary.
    """

    name: str
    element_type: ElementType
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What goes into a model and what comes out, in the model's order.

    Attributes:
        batches: the first extent of every input and output varies and counts rows, so that requests can share a run.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batches: bool


@dataclass(frozen=True, slots=True, order=True)
class VersionKey:
    """One version of one model; `version` counts from 1."""

    model_id: str
    version: int

    def __str__(self) -> str:
        return f"{self.model_id}:{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingPolicy:
    """How the queue and the batches of one deployment behave.

    Attributes:
        max_batch_size: rows a batch; a larger request runs by itself.
        max_linger: the longest that a request waits for others.
        max_queued_rows: rows that may wait.
        max_queued_bytes: bytes of inputs that may wait.
        max_running_batches: batches that may run at once.
    """

    max_batch_size: int = 64
    max_linger: timedelta = timedelta(milliseconds=2)
    max_queued_rows: int = 4_096
    max_queued_bytes: int = 256 << 20
    max_running_batches: int = 2

    def __post_init__(self) -> None:
        """Raises InvalidArgument BATCHING_INVALID for what no batcher can work with."""
        _within("max_batch_size", self.max_batch_size, 1, 65_536)
        _within("max_linger", self.max_linger.total_seconds(), 0, 10, " s")
        _within("max_queued_rows", self.max_queued_rows, 1, 1 << 24)
        _within("max_queued_bytes", self.max_queued_bytes, 1, 1 << 40)
        _within("max_running_batches", self.max_running_batches, 1, 64)


def _within(name: str, value: float, least: int, most: int, unit: str = "") -> None:
    if not least <= value <= most:
        raise InvalidArgument(
            "BATCHING_INVALID",
            f"batching.{name} is {value:g}{unit}",
            field=f"batching.{name}",
            remedy=f"give {least} to {most:,}{unit}",
        )


class DeploymentState(Enum):
    """How far a deployment has come."""

    LOADING = "LOADING"
    SERVING = "SERVING"
    FAILED = "FAILED"
    DRAINING = "DRAINING"


class Stage(IntEnum):
    """How far replicas bring a deployment on its way into service; each includes those before it."""

    RESERVED = 1
    FETCHED = 2
    LOADED = 3
    WARM = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Why something is not as it should be.

    Attributes:
        reason: stable UPPER_SNAKE_CASE name.
        message: one sentence for people.
    """

    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model version that was deployed and has not been undeployed.

    Attributes:
        artifact_size: bytes.
        relaxed: its deployer asked for no promise about the bits of outputs.
        order: grows with every deployment of any model.
        stage: how far replicas bring it while it is LOADING.
        operation_id: the lifecycle operation that last worked on it; empty: it is of before there were any.
        attempt: grows whenever replicas are to look at it again, and to say what came of it.
    """

    key: VersionKey
    model_name: str
    state: DeploymentState
    artifact_sha256: str
    artifact_size: int
    artifact_format: str
    batching: BatchingPolicy
    relaxed: bool
    pinned: bool
    order: int
    deployed_at: datetime
    condition: Condition | None = None
    stage: Stage = Stage.LOADED
    operation_id: str = ""
    attempt: int = 0

    def is_same_as(self, other: Deployment) -> bool:
        """Whether both are one deployment of the version, and not one of before it was ended and deployed anew."""
        return (self.key, self.order, self.deployed_at) == (other.key, other.order, other.deployed_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDeployed:
    """A version answers predictions from now on."""

    deployment: Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUndeployed:
    """A version answers no more."""

    deployment: Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFailed:
    """A version could not be loaded: a first deployment is taken back, a later reload is tried again."""

    deployment: Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRestored:
    """A version whose reload had failed answers again."""

    deployment: Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentStaged:
    """Replicas are to bring a deployment further, or back; for replicas alone."""

    deployment: Deployment


CHANGES = (ModelDeployed, ModelUndeployed, DeploymentFailed, DeploymentRestored)
"""The events that watchers of deployments see."""


def aggregate(key: VersionKey) -> str:
    return f"deployment/{key}"
