"""Tensors and signatures of the platform's own inference contract."""

from __future__ import annotations

from synapsenet.inference.model import ElementType, TensorSpec
from synapsenet.inference.tensors import Tensor
from synapsenet_api.inference.v1 import tensor_pb2 as pb

_TO_WIRE = {
    ElementType.BOOL: pb.ELEMENT_TYPE_BOOL,
    ElementType.INT8: pb.ELEMENT_TYPE_INT8,
    ElementType.INT16: pb.ELEMENT_TYPE_INT16,
    ElementType.INT32: pb.ELEMENT_TYPE_INT32,
    ElementType.INT64: pb.ELEMENT_TYPE_INT64,
    ElementType.UINT8: pb.ELEMENT_TYPE_UINT8,
    ElementType.UINT16: pb.ELEMENT_TYPE_UINT16,
    ElementType.UINT32: pb.ELEMENT_TYPE_UINT32,
    ElementType.UINT64: pb.ELEMENT_TYPE_UINT64,
    ElementType.FLOAT16: pb.ELEMENT_TYPE_FLOAT16,
    ElementType.FLOAT32: pb.ELEMENT_TYPE_FLOAT32,
    ElementType.FLOAT64: pb.ELEMENT_TYPE_FLOAT64,
    ElementType.BFLOAT16: pb.ELEMENT_TYPE_BFLOAT16,
    ElementType.STRING: pb.ELEMENT_TYPE_STRING,
}
_FROM_WIRE = {wire: element_type for element_type, wire in _TO_WIRE.items()}


def tensor(message: pb.Tensor) -> Tensor:
    """A tensor as it came; whether it fits the model is seen later."""
    return Tensor(
        name=message.name,
        element_type=_FROM_WIRE.get(message.element_type),
        shape=tuple(message.shape),
        data=message.data,
    )


def to_tensor(array: Tensor) -> pb.Tensor:
    """A tensor that the model gave."""
    element_type = pb.ELEMENT_TYPE_UNSPECIFIED if array.element_type is None else _TO_WIRE[array.element_type]
    return pb.Tensor(name=array.name, element_type=element_type, shape=array.shape, data=array.data)


def to_spec(spec: TensorSpec) -> pb.TensorSpec:
    """What a model expects or promises."""
    return pb.TensorSpec(name=spec.name, element_type=_TO_WIRE[spec.element_type], shape=spec.shape)
