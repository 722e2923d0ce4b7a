"""What a job shall do, as its owner declares it, with the invariants that hold whatever the state of the platform.

Every field of the contract is here, also those whose behaviour comes later: `availability.py` refuses these by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from synapsenet.errors import InvalidArgument


def _require(holds: bool, field_path: str, remedy: str) -> None:
    if not holds:
        raise InvalidArgument("JOB_SPEC_INVALID", f"{field_path} is out of range", field=field_path, remedy=remedy)


class Mode(StrEnum):
    """How the gradients of several workers become updates."""

    SYNC = "sync"
    ASYNC = "async"


class OptimizerKind(StrEnum):
    """The update rule's name."""

    SGD = "sgd"
    ADAGRAD = "adagrad"
    ADAM = "adam"
    ADAMW = "adamw"


class ScheduleKind(StrEnum):
    """The course of the learning rate."""

    CONSTANT = "constant"
    STEP = "step"
    COSINE = "cosine"
    LINEAR = "linear"


class StalenessPolicy(StrEnum):
    """How the rate of a gradient depends on its staleness."""

    CONSTANT = "constant"
    INVERSE = "inverse"
    POWER = "power"
    WORKERS_OVER_STALENESS = "workers_over_staleness"
    DELAY_COMPENSATED = "delay_compensated"
    GAP_AWARE = "gap_aware"


class Topology(StrEnum):
    """How the workers of a sync job exchange gradients."""

    PARAMETER_SERVER = "parameter_server"
    RING = "ring"


class Durability(StrEnum):
    """What a crash of the parameter server may cost."""

    NONE = "none"
    CHECKPOINT = "checkpoint"
    WAL = "wal"


class Codec(StrEnum):
    """How numbers travel."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8_BLOCK = "int8_block"
    TOP_K = "top_k"


class SourceKind(StrEnum):
    """What a data source's location means."""

    TRAINING_SET = "training_set"
    PARQUET = "parquet"
    NUMPY = "numpy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A model by its name on the allow-list, with the arguments of its factory (JSON values)."""

    entry_point: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Examples: where they are, which columns make the input vector (in this order), which is the class."""

    kind: SourceKind = SourceKind.TRAINING_SET
    location: str
    inputs: tuple[str, ...]
    target: str
    input_scale: float | None = None

    def __post_init__(self) -> None:
        _require(bool(self.location), "training_set.training_set_id", "name the data")
        _require(bool(self.inputs) and all(self.inputs), "inputs", "name at least one input column")
        _require(self.input_scale is None or math.isfinite(self.input_scale), "input_scale", "give a finite number")

    @property
    def scale(self) -> float:
        return 1.0 if self.input_scale is None else self.input_scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """The update rule with its constants."""

    kind: OptimizerKind = OptimizerKind.SGD
    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    clip_norm: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    epsilon: float | None = None

    def __post_init__(self) -> None:
        _require(0 < self.learning_rate < math.inf, "spec.optimizer.learning_rate", "give a finite number above 0")
        _require(0 <= self.momentum < 1, "spec.optimizer.momentum", "give a number from 0 to below 1")
        _require(0 <= self.weight_decay < math.inf, "spec.optimizer.weight_decay", "give 0 or a finite number above it")
        _require(
            self.clip_norm is None or self.clip_norm > 0, "spec.optimizer.clip_norm", "give a number above 0, or leave it out"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The learning rate's course."""

    kind: ScheduleKind = ScheduleKind.CONSTANT
    warmup_steps: int = 0
    factor: float = 0.0
    every_steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How many workers; `step_timeout` in seconds, None for the server's limit."""

    count: int = 1
    min: int | None = None
    max: int | None = None
    backup: int = 0
    step_timeout: float | None = None

    def __post_init__(self) -> None:
        _require(self.count >= 1, "spec.workers.count", "give 1 or more")
        _require(self.min is None or 1 <= self.min <= self.count, "spec.workers.min", "give 1 up to workers.count")
        _require(self.max is None or self.max >= self.count, "spec.workers.max", "give workers.count or more")
        _require(self.backup >= 0, "spec.workers.backup", "give 0 or more")
        _require(self.step_timeout is None or self.step_timeout > 0, "spec.workers.step_timeout", "give a time above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncOptions:
    """What only async mode has."""

    max_staleness: int | None = None
    policy: StalenessPolicy | None = None
    exponent: float | None = None
    delay_compensation: float | None = None
    buffer: int | None = None
    max_worker_lead: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """How transfers are made smaller."""

    gradient_codec: Codec = Codec.FLOAT32
    parameter_codec: Codec = Codec.FLOAT32
    top_k_share: float | None = None
    block: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointing:
    """What is kept against crashes; `every` in seconds."""

    durability: Durability = Durability.NONE
    every_steps: int | None = None
    every: float | None = None
    keep: int | None = None
    resume_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """The model version that a job makes; the model by its id or its name."""

    model_id: str
    version: int

    def __post_init__(self) -> None:
        _require(bool(self.model_id), "spec.model_version.model_id", "name the model")
        _require(self.version >= 1, "spec.model_version.version", "give 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A whole job; `timeout` in seconds, None for the server's limit."""

    mode: Mode = Mode.SYNC
    model: ModelSource
    training_data: DataSource
    evaluation_data: DataSource | None = None
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    batch_size: int
    steps: int
    seed: int = 0
    evaluate_every: int | None = None
    workers: Workers = Workers()
    async_options: AsyncOptions | None = None
    compression: Compression = Compression()
    checkpointing: Checkpointing = Checkpointing()
    topology: Topology = Topology.PARAMETER_SERVER
    parameter_server_shards: int = 1
    experiment_id: str = ""
    run_name: str = ""
    run_params: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    shared_memory: bool = False
    model_version: ModelVersion | None = None

    def __post_init__(self) -> None:
        _require(
            bool(self.model.entry_point), "spec.model.entry_point", "name a model; `ListTrainableModels` tells which there are"
        )
        _require(self.batch_size >= 1, "spec.batch_size", "give 1 or more")
        _require(self.steps >= 1, "spec.steps", "give 1 or more")
        _require(self.seed >= 0, "spec.seed", "give 0 or more")
        _require(
            self.evaluate_every is None or self.evaluate_every >= 1, "spec.evaluate_every", "give 1 or more, or leave it out"
        )
        _require(
            self.evaluate_every is None or self.evaluation_data is not None, "spec.evaluation_data", "evaluate_every needs it"
        )
        _require(self.parameter_server_shards >= 1, "spec.parameter_server_shards", "give 1 or more")
        _require(self.timeout is None or self.timeout > 0, "spec.timeout", "give a time above 0")
