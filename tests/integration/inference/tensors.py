"""Tensors of the exact model, on the wire and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synapsenet.testing.onnx_models import WIDTH, exact_weights
from synapsenet_api.inference.v1 import inference_service_pb2 as pb
from synapsenet_api.inference.v1 import prediction_pb2, tensor_pb2


def pixels(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Whole numbers below 100, float32 [rows, 8]."""
    return np.random.default_rng(seed).integers(0, 100, (rows, WIDTH)).astype(np.float32)


def scores(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the exact model must give, computed in whole numbers."""
    weights, bias = exact_weights()
    exact = array.astype(np.int64) @ weights.astype(np.int64) + bias.astype(np.int64)
    return exact.astype(np.float32)


def to_wire(name: str, array: NDArray[Any], element_type: int = tensor_pb2.ELEMENT_TYPE_FLOAT32) -> tensor_pb2.Tensor:
    return tensor_pb2.Tensor(
        name=name, element_type=tensor_pb2.ElementType.ValueType(element_type), shape=array.shape, data=array.tobytes()
    )


def request(array: NDArray[np.float32], **fields: Any) -> pb.PredictRequest:
    """A prediction from the model `exact`."""
    selector = fields.pop("selector", prediction_pb2.ModelSelector(model_id="exact"))
    return pb.PredictRequest(selector=selector, inputs=[to_wire("pixels", array)], **fields)


def output(outputs: Iterable[tensor_pb2.Tensor], name: str) -> NDArray[Any]:
    """The output called `name`."""
    types = {tensor_pb2.ELEMENT_TYPE_FLOAT32: "<f4", tensor_pb2.ELEMENT_TYPE_INT64: "<i8"}
    found = next(one for one in outputs if one.name == name)
    return np.frombuffer(found.data, types[found.element_type]).reshape(found.shape)
