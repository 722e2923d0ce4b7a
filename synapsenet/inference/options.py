"""The bounds of the inference area, each with its unit."""

from __future__ import annotations

from dataclasses import dataclass, field

from synapsenet.inference.model import BatchingPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceOptions:
    """What an operator may set.

    Attributes:
        batching: how queues and batches behave where a deployment says nothing.
        max_loaded_models: model versions in memory; one more is refused.
        max_loaded_bytes: bytes of artifacts in memory; more are refused.
        max_artifact_bytes: largest artifact that is fetched.
        registry_timeout_s: seconds that a call to the registry or to models may take.
        fetch_timeout_s: seconds that fetching an artifact may take.
        load_timeout_s: seconds that loading a model may take.
        drain_timeout_s: seconds that requests of an undeployed model have to finish.
        retry_first_s: seconds before a failed reload is tried again; doubled after each failure.
        retry_longest_s: seconds between tries at most.
        lock_ttl_s: seconds after which a replica that died is waited for no longer.
        follow_s: seconds that a request waits for what another replica deployed to be loaded here too.
        operation_wait_s: seconds that a deployment waits for another operation on its model to end.
        operation_timeout_s: seconds that a caller waits for the end of its own.
        max_evaluation_bytes: largest training set that a version is evaluated on.
        stream_credits: items of one stream that may be unanswered.
        max_request_rows: rows of one request or stream item.
        executor_threads: batches that run at once, over all models.
        intra_op_threads: threads that ONNX Runtime may use inside one batch.
    """

    batching: BatchingPolicy = field(default_factory=BatchingPolicy)
    max_loaded_models: int = 64
    max_loaded_bytes: int = 4 << 30
    max_artifact_bytes: int = 2 << 30
    registry_timeout_s: float = 10.0
    fetch_timeout_s: float = 300.0
    load_timeout_s: float = 120.0
    drain_timeout_s: float = 30.0
    retry_first_s: float = 1.0
    retry_longest_s: float = 60.0
    lock_ttl_s: float = 15.0
    follow_s: float = 2.0
    operation_wait_s: float = 60.0
    operation_timeout_s: float = 3_600.0
    max_evaluation_bytes: int = 1 << 30
    stream_credits: int = 64
    max_request_rows: int = 65_536
    executor_threads: int = 2
    intra_op_threads: int = 1
