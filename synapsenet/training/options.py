"""The bounds of the training area."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How much training does at once, and how long it waits.

    Attributes:
        concurrent_jobs: jobs that run at one time; the others are queued.
        queued_jobs: jobs that may wait; one more is refused.
        workers_per_job: the most workers a job may ask for.
        start_timeout_s: seconds from a job's start until all its workers have joined.
        step_timeout_s: seconds that a step waits for its slowest worker after the first gradient, unless the job says less.
        lease_ttl_s: seconds of silence after which a worker or a parameter server counts as lost.
        job_timeout_s: seconds that a job may run, unless it says less.
        finish_timeout_s: seconds from the last update until parameters, evaluation and log are complete.
        stop_grace_s: seconds between asking a process to end and killing it.
        max_chunk_bytes: payload of one message of the training stream.
        max_parameter_bytes: size of a model's parameters.
        max_data_bytes: size of one training set, as the Arrow stream that a worker reads.
        report_interval_s: seconds between two progress reports of a parameter server.
        log_queue: reports that wait for the experiment service; a job waits while it is full.
        log_timeout_s: seconds for one call to the experiment service.
        lifecycle_timeout_s: seconds for one question to the coordinator of model versions.
        delivery_timeout_s: seconds for the upload of a version's parameters to the registry.
        models: the allow-list: what jobs call a model → `package.module:factory`.
    """

    concurrent_jobs: int = 3
    queued_jobs: int = 1_000
    workers_per_job: int = 64
    start_timeout_s: float = 60.0
    step_timeout_s: float = 30.0
    lease_ttl_s: float = 10.0
    job_timeout_s: float = 24 * 3600.0
    finish_timeout_s: float = 60.0
    stop_grace_s: float = 2.0
    max_chunk_bytes: int = 1 << 20
    max_parameter_bytes: int = 1 << 30
    max_data_bytes: int = 1 << 30
    report_interval_s: float = 0.1
    lifecycle_timeout_s: float = 15.0
    delivery_timeout_s: float = 600.0
    log_queue: int = 64
    log_timeout_s: float = 10.0
    models: Mapping[str, str] = field(default_factory=lambda: {"mlp": "synapsenet.training.models.mlp:build"})
