"""A trained multilayer perceptron as an ONNX model that takes raw pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper

_OPSET = 18
_IR_VERSION = 9


def perceptron(parameters: Mapping[str, NDArray[np.float32]], *, input_scale: float) -> bytes:
    """The serialized model of `parameters`.

    Args:
        parameters: `layer.0.weight` (inputs, hidden), `layer.0.bias` (hidden,), `layer.1.weight` …, float32.
        input_scale: what every pixel is multiplied with before the first layer.

    Returns:
        A model from `pixels` (rows, inputs) float32 to `scores` (rows, classes) float32 and `digit` (rows,) int64.
    """
    layers = len(parameters) // 2
    inputs, classes = parameters["layer.0.weight"].shape[0], parameters[f"layer.{layers - 1}.bias"].shape[0]
    weights = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in parameters.items()]
    weights.append(numpy_helper.from_array(np.array(input_scale, np.float32), "input_scale"))
    nodes = [helper.make_node("Mul", ["pixels", "input_scale"], ["activation0"])]
    for layer in range(layers):
        last = layer == layers - 1
        out = "scores" if last else f"linear{layer}"
        nodes.append(helper.make_node("Gemm", [f"activation{layer}", f"layer.{layer}.weight", f"layer.{layer}.bias"], [out]))
        if not last:
            nodes.append(helper.make_node("Relu", [out], [f"activation{layer + 1}"]))
    nodes.append(helper.make_node("ArgMax", ["scores"], ["digit"], axis=1, keepdims=0))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", inputs])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", classes]),
            helper.make_tensor_value_info("digit", TensorProto.INT64, ["rows"]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
