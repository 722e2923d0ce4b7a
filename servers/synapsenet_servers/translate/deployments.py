"""Deployments and loaded models on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from synapsenet.errors import InvalidArgument
from synapsenet.inference.control import Holder
from synapsenet.inference.model import CHANGES, BatchingPolicy, Condition, Deployment, DeploymentState
from synapsenet.inference.residents import Resident
from synapsenet.inference.wish import BatchingMode, BatchingWish, DeploymentWish, DeterminismMode
from synapsenet.platform.events import Event
from synapsenet.platform.records import decode
from synapsenet_api.inference.v1 import deployment_pb2 as pb
from synapsenet_api.inference.v1 import inference_control_service_pb2 as control_pb
from synapsenet_api.inference.v1 import inference_service_pb2 as service_pb
from synapsenet_api.inference.v1 import loaded_model_pb2 as loaded_pb
from synapsenet_api.lifecycle.v1.participant_control_service_pb2 import Fence
from synapsenet_servers.translate.enums import Wire
from synapsenet_servers.translate.participation import fence as fence_number
from synapsenet_servers.translate.tensors import to_spec
from synapsenet_servers.translate.times import from_duration, to_duration, to_timestamp

_STATES = Wire(DeploymentState, pb.DeploymentState, "DEPLOYMENT_STATE_")
_RESIDENCIES = {
    DeploymentState.LOADING: loaded_pb.RESIDENCY_STATE_LOADING,
    DeploymentState.SERVING: loaded_pb.RESIDENCY_STATE_LOADING,  # recalled, and not in memory yet
    DeploymentState.FAILED: loaded_pb.RESIDENCY_STATE_FAILED,
    DeploymentState.DRAINING: loaded_pb.RESIDENCY_STATE_DRAINING,
}
_BATCHING_MODES = Wire(BatchingMode, pb.BatchingMode, "BATCHING_MODE_")
_DETERMINISM_MODES = Wire(DeterminismMode, pb.DeterminismMode, "DETERMINISM_MODE_")
_EVENTS: dict[str, Any] = {kind.__name__: kind for kind in CHANGES}


def deployment_wish(request: service_pb.DeployModelRequest) -> DeploymentWish:
    """What the caller wants deployed.

    Raises:
        InvalidArgument: VERSION_INVALID, VALUE_UNKNOWN or DURATION_INVALID.
    """
    return DeploymentWish(
        model=request.model_id,
        version=version_number(request.version, field="version"),
        batching=_batching_wish(request.batching),
        determinism=_DETERMINISM_MODES.asked(request.determinism, field="determinism"),
        pinned=request.pinned,
    )


def load_wish(request: control_pb.LoadModelRequest) -> DeploymentWish:
    """How a version is to be run that somebody has loaded.

    Raises:
        InvalidArgument: VERSION_INVALID, VALUE_UNKNOWN or DURATION_INVALID.
    """
    return DeploymentWish(
        model=request.model_id,
        version=version_number(request.version, field="version"),
        batching=_batching_wish(request.batching),
        determinism=_DETERMINISM_MODES.asked(request.determinism, field="determinism"),
        pinned=request.pinned,
    )


def holder(fence: control_pb.OperationFence, model_id: str) -> Holder:
    """Who acts on a model.

    Raises:
        InvalidArgument: FENCE_INVALID.
    """
    held = fence_number(Fence(epoch=fence.epoch, token=fence.token))
    return Holder(operation_id=fence.operation_id, step=fence.step, fence=held, model_id=model_id)


def shares(wire: Iterable[pb.TrafficShare]) -> dict[int, float]:
    """Fractions by version; a version that is named twice has what was said last."""
    return {version_number(one.version, field="shares.version"): one.fraction for one in wire}


def to_shares(fractions: Mapping[int, float]) -> list[pb.TrafficShare]:
    """The inverse, ordered by version."""
    return [pb.TrafficShare(version=version, fraction=fractions[version]) for version in sorted(fractions)]


def version_number(number: int, *, field: str) -> int:
    """`number`, if a version can have it.

    Raises:
        InvalidArgument: VERSION_INVALID.
    """
    if number < 1:
        raise InvalidArgument("VERSION_INVALID", field=field, remedy="versions count from 1")
    return number


def to_deployment(deployment: Deployment, *, share: float) -> pb.Deployment:
    """A deployment; `share` is the fraction of the requests that name no version which it gets, 0 to 1."""
    return pb.Deployment(
        model_id=deployment.key.model_id,
        model_name=deployment.model_name,
        version=deployment.key.version,
        state=_STATES[deployment.state],
        condition=_condition(deployment.condition),
        artifact_sha256=deployment.artifact_sha256,
        artifact_size_bytes=deployment.artifact_size,
        artifact_format=deployment.artifact_format,
        batching=_batching(deployment.batching),
        determinism=pb.DETERMINISM_MODE_RELAXED if deployment.relaxed else pb.DETERMINISM_MODE_UNSPECIFIED,
        traffic_fraction=share,
        pinned=deployment.pinned,
        create_time=to_timestamp(deployment.deployed_at),
    )


def to_event(event: Event) -> pb.DeploymentEvent:
    """One change of a deployment; who gets traffic is not part of it."""
    record = decode(_EVENTS[event.type], event.payload)
    return pb.DeploymentEvent(
        position=event.position,
        sequence=event.sequence,
        type=event.type,
        occur_time=to_timestamp(event.occurred_at),
        deployment=to_deployment(record.deployment, share=0.0),
    )


def to_loaded_model(deployment: Deployment, resident: Resident | None) -> loaded_pb.LoadedModel:
    """A deployment as it stands in memory."""
    model = loaded_pb.LoadedModel(
        model_id=deployment.key.model_id,
        model_name=deployment.model_name,
        version=deployment.key.version,
        state=_RESIDENCIES[deployment.state],
        condition=_condition(deployment.condition),
        artifact_sha256=deployment.artifact_sha256,
        pinned=deployment.pinned,
        batching=_batching(deployment.batching),
    )
    if resident is not None:
        _describe(model, deployment, resident)
    return model


def _describe(model: loaded_pb.LoadedModel, deployment: Deployment, resident: Resident) -> None:
    """Fill in what only a model in memory has."""
    batcher, totals = resident.batcher, resident.batcher.totals
    if deployment.state is DeploymentState.SERVING:
        model.state = loaded_pb.RESIDENCY_STATE_READY
    model.runtime = resident.executable.runtime
    model.resident_bytes = deployment.artifact_size
    model.load_ms = 1e3 * resident.load_s
    model.load_time.CopyFrom(to_timestamp(resident.loaded_at))
    if resident.last_used_at is not None:
        model.last_use_time.CopyFrom(to_timestamp(resident.last_used_at))
    model.leases = resident.leases
    model.inputs.extend(to_spec(spec) for spec in resident.signature.inputs)
    model.outputs.extend(to_spec(spec) for spec in resident.signature.outputs)
    model.batcher.CopyFrom(
        loaded_pb.BatcherStatus(
            queued_rows=batcher.queued_rows,
            queued_bytes=batcher.queued_bytes,
            running_batches=batcher.running,
            target_batch_size=batcher.target,
            linger_ms=1e3 * batcher.linger,
        )
    )
    model.totals.CopyFrom(
        loaded_pb.ServingTotals(
            succeeded=totals.succeeded,
            failed=totals.failed,
            rejected=totals.rejected,
            expired=totals.expired,
            cancelled=totals.cancelled,
            rows=totals.rows,
            batches=totals.batches,
            queue_ms=1e3 * totals.queue_s,
            compute_ms=1e3 * totals.compute_s,
        )
    )


def _batching_wish(message: pb.BatchingPolicy) -> BatchingWish:
    return BatchingWish(
        mode=_BATCHING_MODES.asked(message.mode, field="batching.mode"),
        slo=from_duration(message.slo, field="batching.slo") if message.HasField("slo") else None,
        max_batch_size=message.max_batch_size if message.HasField("max_batch_size") else None,
        max_linger=from_duration(message.max_linger, field="batching.max_linger") if message.HasField("max_linger") else None,
        max_queued_rows=message.max_queued_rows if message.HasField("max_queued_rows") else None,
        max_queued_bytes=message.max_queued_bytes if message.HasField("max_queued_bytes") else None,
        max_running_batches=message.max_running_batches if message.HasField("max_running_batches") else None,
    )


def _batching(policy: BatchingPolicy) -> pb.BatchingPolicy:
    return pb.BatchingPolicy(
        mode=pb.BATCHING_MODE_FIXED,
        max_batch_size=policy.max_batch_size,
        max_linger=to_duration(policy.max_linger),
        max_queued_rows=policy.max_queued_rows,
        max_queued_bytes=policy.max_queued_bytes,
        max_running_batches=policy.max_running_batches,
    )


def _condition(condition: Condition | None) -> pb.DeploymentCondition | None:
    if condition is None:
        return None
    return pb.DeploymentCondition(reason=condition.reason, message=condition.message, start_time=to_timestamp(condition.since))
