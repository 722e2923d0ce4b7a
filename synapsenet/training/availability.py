"""Options of a job that are in the contract and whose behaviour is not in this release."""

from __future__ import annotations

from synapsenet.platform.to_come import FutureOption, refuse
from synapsenet.training.spec import (
    AsyncOptions,
    Checkpointing,
    Compression,
    DataSource,
    JobSpec,
    Mode,
    OptimizerKind,
    Schedule,
    SourceKind,
    Topology,
)


def refuse_what_is_to_come(spec: JobSpec) -> None:
    """Pass if this release does everything that `spec` asks for.

    Raises:
        NotYetAvailable: NOT_YET_AVAILABLE, naming the first option that it does not do.
    """
    refuse(spec, FUTURE_OPTIONS)


def _sources(spec: JobSpec) -> tuple[DataSource, ...]:
    return tuple(source for source in (spec.training_data, spec.evaluation_data) if source)


FUTURE_OPTIONS: tuple[FutureOption[JobSpec], ...] = (
    FutureOption(
        option="spec.mode=MODE_ASYNC",
        brings="Asynchronous updates with bounded staleness.",
        asked=lambda spec: spec.mode is Mode.ASYNC,
    ),
    FutureOption(
        option="spec.async_options",
        brings="Staleness bound, policy and buffering of asynchronous jobs.",
        asked=lambda spec: spec.async_options not in (None, AsyncOptions()),
    ),
    FutureOption(
        option="spec.training_data.parquet",
        brings="Examples from Parquet files below an allowed root.",
        asked=lambda spec: any(source.kind is SourceKind.PARQUET for source in _sources(spec)),
    ),
    FutureOption(
        option="spec.training_data.numpy",
        brings="Examples from NumPy files below an allowed root.",
        asked=lambda spec: any(source.kind is SourceKind.NUMPY for source in _sources(spec)),
    ),
    FutureOption(
        option="spec.optimizer.kind",
        brings="Adagrad, Adam and AdamW.",
        asked=lambda spec: spec.optimizer.kind is not OptimizerKind.SGD,
    ),
    FutureOption(
        option="spec.optimizer.nesterov",
        brings="Nesterov momentum.",
        asked=lambda spec: spec.optimizer.nesterov,
    ),
    FutureOption(
        option="spec.optimizer.weight_decay",
        brings="Weight decay.",
        asked=lambda spec: spec.optimizer.weight_decay != 0,
    ),
    FutureOption(
        option="spec.optimizer.clip_norm",
        brings="Clipping by global norm.",
        asked=lambda spec: spec.optimizer.clip_norm is not None,
    ),
    FutureOption(
        option="spec.schedule",
        brings="Warm-up and schedules of the learning rate.",
        asked=lambda spec: spec.schedule != Schedule(),
    ),
    FutureOption(
        option="spec.workers.min",
        brings="Sync jobs that go on with fewer workers.",
        asked=lambda spec: spec.workers.min not in (None, spec.workers.count),
    ),
    FutureOption(
        option="spec.workers.max",
        brings="Workers that join while the job runs.",
        asked=lambda spec: spec.workers.max not in (None, spec.workers.count),
    ),
    FutureOption(
        option="spec.workers.backup",
        brings="Backup workers, whose slowest are dropped at each step.",
        asked=lambda spec: spec.workers.backup > 0,
    ),
    FutureOption(
        option="spec.compression",
        brings="Gradients and parameters in smaller encodings.",
        asked=lambda spec: spec.compression != Compression(),
    ),
    FutureOption(
        option="spec.checkpointing",
        brings="Checkpoints, a write-ahead log of updates, and resuming from them.",
        asked=lambda spec: spec.checkpointing != Checkpointing(),
    ),
    FutureOption(
        option="spec.topology=TOPOLOGY_RING",
        brings="All-reduce among the workers.",
        asked=lambda spec: spec.topology is Topology.RING,
    ),
    FutureOption(
        option="spec.parameter_server_shards",
        brings="Parameters spread over several server processes.",
        asked=lambda spec: spec.parameter_server_shards > 1,
    ),
    FutureOption(
        option="spec.shared_memory",
        brings="Payloads in shared memory between processes of one host.",
        asked=lambda spec: spec.shared_memory,
    ),
)
