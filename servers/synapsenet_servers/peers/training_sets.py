"""A worker's examples from the feature store over gRPC: one Arrow stream, verified, as float32 inputs and int64 targets."""

from __future__ import annotations

import hashlib
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synapsenet.errors import DataLoss, FailedPrecondition, ResourceExhausted, SynapseError, Unavailable
from synapsenet.training.schema import FLOAT32
from synapsenet.training.spec import DataSource
from synapsenet.training.worker import Examples
from synapsenet_api.features.v1 import feature_service_pb2 as pb
from synapsenet_api.features.v1.feature_service_pb2_grpc import FeatureServiceStub


def read_training_set(channel: grpc.Channel, source: DataSource, *, limit: int, timeout: float) -> Examples:
    """All examples of a training set, in its order.

    Args:
        limit: bytes of the stream.
        timeout: seconds.

    Raises:
        FailedPrecondition: TRAINING_SET_REFUSED; DATA_UNUSABLE, a column is missing or of a type that no model takes.
        ResourceExhausted: DATA_TOO_LARGE.
        Unavailable: FEATURES_LOST.
        DataLoss: TRAINING_SET_CORRUPT.
    """
    table = pa.ipc.open_stream(_read(channel, source.location, limit=limit, timeout=timeout)).read_all()
    inputs = np.concatenate([_matrix(table, name) for name in source.inputs], axis=1)
    if source.scale != 1.0:
        inputs = np.multiply(inputs, np.float32(source.scale))
    return Examples(inputs=np.ascontiguousarray(inputs), targets=_targets(table, source.target))


def _read(channel: grpc.Channel, training_set_id: str, *, limit: int, timeout: float) -> pa.Buffer:
    request = pb.ReadTrainingSetRequest(training_set_id=training_set_id)
    pieces = bytearray()
    digest, size = "", 0
    try:
        for piece in FeatureServiceStub(channel).ReadTrainingSet(request, timeout=timeout, wait_for_ready=True):
            digest, size = piece.sha256 or digest, piece.size_bytes or size
            if max(size, len(pieces) + len(piece.data)) > limit:
                raise ResourceExhausted(
                    "DATA_TOO_LARGE", f"the training set has {size} bytes", remedy=f"make it {limit} or less"
                )
            pieces += piece.data
    except grpc.RpcError as error:
        raise _refused(error, training_set_id) from error
    if len(pieces) != size or hashlib.sha256(pieces).hexdigest() != digest:
        raise DataLoss("TRAINING_SET_CORRUPT", f"the training set {training_set_id} did not arrive as it was stored")
    return pa.py_buffer(pieces)


def _refused(error: Any, training_set_id: str) -> SynapseError:
    code = error.code()
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return Unavailable("FEATURES_LOST", f"the training set {training_set_id} could not be read", secret=str(error))
    return FailedPrecondition(
        "TRAINING_SET_REFUSED", f"the training set {training_set_id} could not be read: {error.details() or code.name}"
    )


def _matrix(table: pa.Table, name: str) -> NDArray[np.float32]:
    """A column as float32 (examples, length); a scalar column has length 1, missing values are NaN."""
    column = _column(table, name)
    if not pa.types.is_fixed_size_list(column.type):
        return _numbers(column, name).astype(FLOAT32).reshape(-1, 1)
    length = column.type.list_size
    if column.null_count:
        raise _unusable(name, "has missing vectors")
    flat = np.concatenate([_numbers(chunk.flatten(), name) for chunk in column.chunks] or [np.empty(0, FLOAT32)])
    return flat.astype(FLOAT32, copy=False).reshape(-1, length)


def _targets(table: pa.Table, name: str) -> NDArray[np.int64]:
    column = _column(table, name)
    if not pa.types.is_integer(column.type) or column.null_count:
        raise _unusable(name, "is no integer class, or is missing somewhere")
    targets: NDArray[np.int64] = column.to_numpy().astype(np.int64, copy=False)
    return targets


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise _unusable(name, f"is not there; there are {', '.join(table.column_names)}")
    return table.column(name)


def _numbers(values: pa.Array | pa.ChunkedArray, name: str) -> NDArray[np.float32]:
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)):
        raise _unusable(name, f"is of type {values.type}, not of numbers")
    # An array says by name that it may copy; a chunked one always may.
    found: NDArray[np.float32] = values.to_numpy(**({"zero_copy_only": False} if isinstance(values, pa.Array) else {}))
    return found


def _unusable(name: str, what: str) -> FailedPrecondition:
    return FailedPrecondition("DATA_UNUSABLE", f"the column {name!r} {what}", remedy="correct the data source of the job")
