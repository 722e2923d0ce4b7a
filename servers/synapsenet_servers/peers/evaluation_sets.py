"""Training sets from the feature store over gRPC, as columns to evaluate a model on."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synapsenet.errors import DataLoss, ResourceExhausted
from synapsenet.inference.ports import EvaluationSets
from synapsenet_api.features.v1 import feature_service_pb2 as pb
from synapsenet_api.features.v1.feature_service_pb2_grpc import FeatureServiceStub
from synapsenet_servers.peers.failures import translated

Array = NDArray[Any]


class GrpcEvaluationSets(EvaluationSets):
    """Training sets through the feature service.

    Args:
        limit: bytes of a set.
        timeout: seconds that reading one may take.
    """

    def __init__(self, channel: grpc.aio.Channel, *, limit: int, timeout: float) -> None:
        self._features = FeatureServiceStub(channel)
        self._limit = limit
        self._timeout = timeout

    async def read(self, set_id: str) -> Mapping[str, Array]:
        content = await self._read(set_id)
        return await asyncio.to_thread(_columns, content)

    async def _read(self, set_id: str) -> bytes:
        pieces = bytearray()
        digest, size = "", 0
        call = self._features.ReadTrainingSet(pb.ReadTrainingSetRequest(training_set_id=set_id), timeout=self._timeout)
        try:
            async for piece in call:
                digest, size = piece.sha256 or digest, piece.size_bytes or size
                if max(size, len(pieces) + len(piece.data)) > self._limit:
                    raise ResourceExhausted(
                        "EVALUATION_SET_TOO_LARGE",
                        f"the training set has {size} bytes",
                        field="evaluation_set_id",
                        remedy=f"make it {self._limit} or less",
                    )
                pieces += piece.data
        except grpc.aio.AioRpcError as error:
            raise translated(error, "features") from error
        finally:
            call.cancel()
        if len(pieces) != size or hashlib.sha256(pieces).hexdigest() != digest:
            raise DataLoss("TRAINING_SET_CORRUPT", f"the training set {set_id} did not arrive as it was stored")
        return bytes(pieces)


def _columns(content: bytes) -> dict[str, Array]:
    table = pa.ipc.open_stream(pa.py_buffer(content)).read_all()
    return {name: _array(table.column(name)) for name in table.column_names}


def _array(column: pa.ChunkedArray) -> Array:
    """One row an example: vectors as a matrix, missing numbers as NaN, texts as objects."""
    if not pa.types.is_fixed_size_list(column.type) or column.null_count:
        array: Array = column.to_numpy()
        return array
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    joined: Array = np.concatenate(flat) if flat else np.empty(0)
    return joined.reshape(-1, column.type.list_size)
