"""What worker and parameter server say to each other, as messages.

The order and the contents of what these functions give for one conversation are recorded and replayed: a hello that offers
nothing newer must for ever be answered with the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from synapsenet.errors import InvalidArgument
from synapsenet.training.aggregation import Gradient
from synapsenet.training.model import Failure
from synapsenet.training.parameter_server import ParameterServer, Snapshot
from synapsenet.training.refusal import Refused
from synapsenet.training.schema import ParameterSchema
from synapsenet.training.transfer import cut
from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import parameter_stream_pb2 as pb


def schema_message(schema: ParameterSchema) -> pb.ParameterSchema:
    """The layout on the wire."""
    return pb.ParameterSchema(
        tensors=[
            pb.TensorSchema(
                name=tensor.name, element_type=pb.ELEMENT_TYPE_FLOAT32, shape=tensor.shape, offset_bytes=tensor.offset
            )
            for tensor in schema.tensors
        ],
        size_bytes=schema.size,
        digest=schema.digest,
    )


def schema(message: pb.ParameterSchema) -> ParameterSchema:
    """The layout in `message`.

    Raises:
        InvalidArgument: PARAMETERS_INVALID, it has gaps, or its digest or size belongs to another layout.
    """
    found = ParameterSchema.of([(tensor.name, tuple(tensor.shape)) for tensor in message.tensors])
    if found.digest != message.digest or found.size != message.size_bytes:
        raise InvalidArgument("PARAMETERS_INVALID", "the parameters' layout does not fit its digest")
    return found


def welcome(server: ParameterServer, *, lease_id: str, epoch: int, version: int, max_chunk: int) -> pb.TrainResponse:
    """The answer to a hello; all it offers is what the first release has."""
    message = pb.Welcome(
        lease_id=lease_id,
        member_epoch=1,
        server_epoch=epoch,
        version=version,
        schema=schema_message(server.schema),
        max_chunk_bytes=max_chunk,
        last_version=server.plan.steps,
        barrier=server.plan.workers,
    )
    message.lease_ttl.FromMilliseconds(round(server.plan.lease_ttl * 1000))
    return pb.TrainResponse(welcome=message)


def parameters(snapshot: Snapshot, *, max_chunk: int) -> Iterator[pb.TrainResponse]:
    """The parameters of one version, in chunks."""
    raw = snapshot.parameters.data.cast("B")
    for start, end in cut(len(raw), limit=max_chunk):
        yield pb.TrainResponse(
            parameters_chunk=pb.ParametersChunk(
                version=snapshot.version, offset_bytes=start, size_bytes=len(raw), data=bytes(raw[start:end])
            )
        )


def not_modified(version: int) -> pb.TrainResponse:
    return pb.TrainResponse(not_modified=pb.NotModified(version=version))


def ack(server: ParameterServer, *, sequence: int, version: int) -> pb.TrainResponse:
    """A push was applied; in sync mode nothing is stale and all workers contribute."""
    return pb.TrainResponse(
        ack=pb.Ack(
            sequence=sequence,
            version=version,
            learning_rate=server.plan.learning_rate,
            level=pb.ACK_LEVEL_APPLIED,
            contributors=server.plan.workers,
        )
    )


def reject(refused: Refused, *, sequence: int, version: int) -> pb.TrainResponse:
    return pb.TrainResponse(
        reject=pb.Reject(
            sequence=sequence,
            code=pb.RejectCode.Value(f"REJECT_CODE_{refused.code.value}"),
            action=pb.RejectAction.Value(f"REJECT_ACTION_{refused.action.value}"),
            message=refused.message,
            version=version,
        )
    )


def closing(failure: Failure | None) -> pb.TrainResponse:
    """The job ends: finished, or for the failure's reason."""
    if failure is None:
        return pb.TrainResponse(closing=pb.Closing(finished=True))
    return pb.TrainResponse(closing=pb.Closing(reason=failure.reason, message=failure.message))


def push(gradient: Gradient, *, sequence: int, base_version: int, epoch: int, max_chunk: int) -> Iterator[pb.TrainRequest]:
    """A gradient in chunks, its end, and the wish for the parameters that it leads to."""
    raw = gradient.values.data.cast("B")
    for start, end in cut(len(raw), limit=max_chunk):
        yield pb.TrainRequest(push_chunk=pb.PushChunk(sequence=sequence, offset_bytes=start, data=bytes(raw[start:end])))
    yield pb.TrainRequest(
        push_end=pb.PushEnd(
            sequence=sequence,
            base_version=base_version,
            server_epoch=epoch,
            codec=job_pb2.CODEC_FLOAT32,
            size_bytes=len(raw),
            examples=gradient.examples,
            loss=gradient.loss,
            pull=True,
        )
    )
