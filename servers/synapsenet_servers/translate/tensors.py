"""Tensors and signatures of the platform's own inference contract."""

from __future__ import annotations

from synapsenet.inference.model import ElementType, TensorSpec
from synapsenet.inference.tensors import Tensor
from synapsenet_api.inference.v1 import tensor_pb2 as pb
from synapsenet_servers.translate.enums import Wire

_ELEMENT_TYPES = Wire(ElementType, pb.ElementType, "ELEMENT_TYPE_")


def tensor(message: pb.Tensor) -> Tensor:
    """A tensor as it came; whether it fits the model is seen later."""
    return Tensor(
        name=message.name,
        element_type=_ELEMENT_TYPES.known(message.element_type),
        shape=tuple(message.shape),
        data=message.data,
    )


def to_tensor(array: Tensor) -> pb.Tensor:
    """A tensor that the model gave."""
    element_type = pb.ELEMENT_TYPE_UNSPECIFIED if array.element_type is None else _ELEMENT_TYPES[array.element_type]
    return pb.Tensor(name=array.name, element_type=element_type, shape=array.shape, data=array.data)


def to_spec(spec: TensorSpec) -> pb.TensorSpec:
    """What a model expects or promises."""
    return pb.TensorSpec(name=spec.name, element_type=_ELEMENT_TYPES[spec.element_type], shape=spec.shape)
