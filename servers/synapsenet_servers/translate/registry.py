"""Versions, artifacts and aliases on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator

from synapsenet.errors import InvalidArgument
from synapsenet.registry.aliases import AliasWish
from synapsenet.registry.model import (
    Alias,
    Condition,
    Format,
    Source,
    State,
    Version,
    VersionArtifact,
    VersionChange,
    VersionWish,
)
from synapsenet.registry.moves import Move
from synapsenet.registry.signature import ElementType, Signature, TensorSpec
from synapsenet.registry.standing import Standing
from synapsenet.registry.uploads import Upload
from synapsenet_api.lifecycle.v1 import version_status_pb2
from synapsenet_api.registry.v1 import alias_pb2, artifact_pb2, registry_control_service_pb2, registry_service_pb2, version_pb2
from synapsenet_servers.translate.enums import Wire
from synapsenet_servers.translate.masks import named
from synapsenet_servers.translate.times import from_timestamp, to_timestamp

_STATES = Wire(State, version_pb2.VersionState, "VERSION_STATE_")
_FORMATS = Wire(Format, artifact_pb2.ArtifactFormat, "ARTIFACT_FORMAT_")
_ELEMENT_TYPES = Wire(ElementType, version_pb2.ElementType, "ELEMENT_TYPE_")


def version(found: Version) -> version_pb2.Version:
    return version_pb2.Version(
        model_id=found.model_id,
        model_name=found.model_name,
        version=found.number,
        state=_STATES[found.state],
        condition=None if found.condition is None else _condition(found.condition),
        description=found.description,
        source=None if found.source == Source() else _source(found.source),
        signature=None if found.signature is None else _signature(found.signature),
        metrics=found.metrics,
        labels=found.labels,
        artifact=None if found.artifact is None else artifact(found.artifact),
        aliases=found.aliases,
        etag=found.etag,
        create_time=to_timestamp(found.created_at),
        update_time=to_timestamp(found.updated_at),
    )


def artifact(found: VersionArtifact) -> artifact_pb2.Artifact:
    return artifact_pb2.Artifact(
        format=_FORMATS[found.format],
        sha256=found.sha256,
        size_bytes=found.size,
        upload_time=to_timestamp(found.uploaded_at),
    )


def alias(found: Alias) -> alias_pb2.Alias:
    return alias_pb2.Alias(
        model_id=found.model_id, name=found.name, version=found.number, update_time=to_timestamp(found.updated_at)
    )


def version_wish(request: registry_service_pb2.CreateVersionRequest) -> VersionWish:
    return VersionWish(
        model=request.model_id,
        description=request.description,
        source=Source(
            run_id=request.source.run_id,
            job_id=request.source.job_id,
            training_set_id=request.source.training_set_id,
            reference=request.source.reference,
        ),
        signature=_from_signature(request.signature) if request.HasField("signature") else None,
        metrics=dict(request.metrics),
        labels=dict(request.labels),
    )


def version_change(request: registry_service_pb2.UpdateVersionRequest) -> VersionChange:
    changing = named(request.update_mask, ("description", "metrics", "labels"))
    return VersionChange(
        description=request.description if "description" in changing else None,
        metrics=dict(request.metrics) if "metrics" in changing else None,
        labels=dict(request.labels) if "labels" in changing else None,
        etag=request.etag,
    )


def states(
    request: registry_service_pb2.ListVersionsRequest | registry_control_service_pb2.FindUntoldVersionsRequest,
) -> frozenset[State]:
    return frozenset(_STATES.member(state, field="states") for state in request.states)


def move(request: registry_service_pb2.SetVersionStateRequest) -> Move:
    return Move(
        to=_STATES.member(request.state, field="state"),
        condition=_from_condition(request.condition) if request.HasField("condition") else None,
        reason=request.reason,
        etag=request.etag,
    )


def standing(request: registry_control_service_pb2.KeepVersionStateRequest) -> Standing:
    """What the coordinator has the registry show.

    Raises:
        InvalidArgument: VALUE_UNKNOWN, CONDITION_INVALID, SEQUENCE_INVALID or the time is none.
    """
    if request.sequence < 1:
        raise InvalidArgument("SEQUENCE_INVALID", field="sequence", remedy="give the number of the model's event, from 1")
    return Standing(
        state=_STATES.member(request.state, field="state"),
        condition=_told_condition(request.condition) if request.HasField("condition") else None,
        sequence=request.sequence,
        changed_at=from_timestamp(request.change_time, field="change_time"),
        reason=request.reason,
    )


def status_standing(status: version_status_pb2.VersionStatus, *, reason: str = "") -> Standing | None:
    """What the coordinator answers of a version; None if the registry's contract has no such state."""
    if status.state not in set(State):
        return None
    return Standing(
        state=State(status.state),
        condition=_told_condition(status.condition) if status.HasField("condition") else None,
        sequence=status.sequence,
        changed_at=from_timestamp(status.update_time, field="status.update_time"),
        reason=reason,
    )


def wished_condition(condition: Condition) -> version_status_pb2.Condition:
    """What somebody says is wrong, for the coordinator, who knows since when."""
    return version_status_pb2.Condition(
        reason=condition.reason,
        message=condition.message,
        operation_id=condition.operation_id,
        needs_attention=condition.needs_attention,
    )


def alias_wish(request: registry_service_pb2.SetAliasRequest) -> AliasWish:
    return AliasWish(
        model=request.model_id,
        name=request.alias,
        number=request.version,
        expected=request.expected_version if request.HasField("expected_version") else None,
    )


async def upload(
    requests: AsyncIterator[registry_service_pb2.UploadArtifactRequest],
) -> tuple[Upload, AsyncIterator[bytes]]:
    """The header of an upload, and its bytes as they come.

    Raises:
        InvalidArgument: UPLOAD_OUT_OF_ORDER, the stream does not begin with the header; also from the iterator, if
            something else than bytes follows.
    """
    first = await anext(requests, None)
    if first is None or first.WhichOneof("part") != "header":
        raise _out_of_order("the first message has no header")
    header = first.header
    declared = Upload(
        model=header.model_id,
        number=header.version,
        format=_FORMATS.member(header.format, field="header.format"),
        sha256=header.sha256,
        size=header.size_bytes,
    )
    return declared, _chunks(requests)


async def _chunks(requests: AsyncIterator[registry_service_pb2.UploadArtifactRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "data":
            raise _out_of_order("a message after the first has no data")
        yield request.data


def _out_of_order(what: str) -> InvalidArgument:
    return InvalidArgument("UPLOAD_OUT_OF_ORDER", what, field="part", remedy="send one header, then only data")


def _source(source: Source) -> version_pb2.Source:
    return version_pb2.Source(
        run_id=source.run_id, job_id=source.job_id, training_set_id=source.training_set_id, reference=source.reference
    )


def _condition(condition: Condition) -> version_pb2.VersionCondition:
    return version_pb2.VersionCondition(
        reason=condition.reason,
        message=condition.message,
        operation_id=condition.operation_id,
        needs_attention=condition.needs_attention,
        start_time=None if condition.since is None else to_timestamp(condition.since),
    )


def _from_condition(wire: version_pb2.VersionCondition) -> Condition:
    return Condition(
        reason=wire.reason,
        message=wire.message,
        operation_id=wire.operation_id,
        needs_attention=wire.needs_attention,
    )


def _told_condition(wire: version_pb2.VersionCondition | version_status_pb2.Condition) -> Condition:
    return Condition(
        reason=wire.reason,
        message=wire.message,
        operation_id=wire.operation_id,
        needs_attention=wire.needs_attention,
        since=from_timestamp(wire.start_time, field="condition.start_time") if wire.HasField("start_time") else None,
    )


def _signature(signature: Signature) -> version_pb2.Signature:
    return version_pb2.Signature(
        inputs=[_tensor(tensor) for tensor in signature.inputs], outputs=[_tensor(tensor) for tensor in signature.outputs]
    )


def _tensor(tensor: TensorSpec) -> version_pb2.TensorSpec:
    return version_pb2.TensorSpec(
        name=tensor.name,
        element_type=_ELEMENT_TYPES[tensor.element_type],
        shape=tensor.shape or (),
        any_shape=tensor.shape is None,
    )


def _from_signature(wire: version_pb2.Signature) -> Signature:
    return Signature(
        inputs=tuple(_from_tensor(tensor, f"signature.inputs[{at}]") for at, tensor in enumerate(wire.inputs)),
        outputs=tuple(_from_tensor(tensor, f"signature.outputs[{at}]") for at, tensor in enumerate(wire.outputs)),
    )


def _from_tensor(wire: version_pb2.TensorSpec, field: str) -> TensorSpec:
    return TensorSpec(
        name=wire.name,
        element_type=_ELEMENT_TYPES.member(wire.element_type, field=f"{field}.element_type"),
        shape=None if wire.any_shape else tuple(wire.shape),
    )
