"""Tensors and signatures of the platform's own inference contract."""

from __future__ import annotations

from synapsenet.inference.model import DataType, TensorSpec
from synapsenet.inference.tensors import Tensor
from synapsenet_api.inference.v1 import tensor_pb2 as pb

_TO_WIRE = {
    DataType.BOOL: pb.DATA_TYPE_BOOL,
    DataType.INT8: pb.DATA_TYPE_INT8,
    DataType.INT16: pb.DATA_TYPE_INT16,
    DataType.INT32: pb.DATA_TYPE_INT32,
    DataType.INT64: pb.DATA_TYPE_INT64,
    DataType.UINT8: pb.DATA_TYPE_UINT8,
    DataType.UINT16: pb.DATA_TYPE_UINT16,
    DataType.UINT32: pb.DATA_TYPE_UINT32,
    DataType.UINT64: pb.DATA_TYPE_UINT64,
    DataType.FLOAT16: pb.DATA_TYPE_FLOAT16,
    DataType.FLOAT32: pb.DATA_TYPE_FLOAT32,
    DataType.FLOAT64: pb.DATA_TYPE_FLOAT64,
    DataType.BFLOAT16: pb.DATA_TYPE_BFLOAT16,
    DataType.STRING: pb.DATA_TYPE_STRING,
}
_FROM_WIRE = {wire: data_type for data_type, wire in _TO_WIRE.items()}


def tensor(message: pb.Tensor) -> Tensor:
    """A tensor as it came; whether it fits the model is seen later."""
    return Tensor(
        name=message.name,
        data_type=_FROM_WIRE.get(message.data_type),
        shape=tuple(message.shape),
        data=message.data,
    )


def to_tensor(array: Tensor) -> pb.Tensor:
    """A tensor that the model gave."""
    data_type = pb.DATA_TYPE_UNSPECIFIED if array.data_type is None else _TO_WIRE[array.data_type]
    return pb.Tensor(name=array.name, data_type=data_type, shape=array.shape, data=array.data)


def to_spec(spec: TensorSpec) -> pb.TensorSpec:
    """What a model expects or promises."""
    return pb.TensorSpec(name=spec.name, data_type=_TO_WIRE[spec.data_type], shape=spec.shape)
