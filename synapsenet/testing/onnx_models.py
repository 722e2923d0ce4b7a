"""Small ONNX models for tests and recordings, made here so that nobody has to trust a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

_OPSET = 17
_IR_VERSION = 9
WIDTH = 8
CLASSES = 3


def exact_weights() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights [8, 3] and bias [3] of small whole numbers.

    With whole inputs below 2^16 every sum is a whole number below 2^24, which float32 holds exactly: whatever the order in
    which a runtime adds up, the bits are the same.
    """
    weights = (np.arange(WIDTH * CLASSES, dtype=np.float32).reshape(WIDTH, CLASSES) * 7) % 11 - 5
    return weights, np.array([1, -2, 3], np.float32)


def exact_model() -> bytes:
    """`scores` = `pixels` @ weights + bias, float32 [-1, 8] to [-1, 3], in exact arithmetic; and `label`, their argmax."""
    weights, bias = exact_weights()
    return model(
        nodes=[
            helper.make_node("MatMul", ["pixels", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        inputs=[tensor("pixels", TensorProto.FLOAT, ["rows", WIDTH])],
        outputs=[tensor("scores", TensorProto.FLOAT, ["rows", CLASSES]), tensor("label", TensorProto.INT64, ["rows"])],
        constants={"weights": weights, "bias": bias},
    )


def gathering_model() -> bytes:
    """`picked` = a table of ten numbers at `places`, int64 [-1] to float32 [-1]; a place outside 0 to 9 makes a run fail."""
    return model(
        nodes=[helper.make_node("Gather", ["table", "places"], ["picked"])],
        inputs=[tensor("places", TensorProto.INT64, ["rows"])],
        outputs=[tensor("picked", TensorProto.FLOAT, ["rows"])],
        constants={"table": np.arange(10, dtype=np.float32)},
    )


def identity_model(element_type: int, shape: Sequence[int | str]) -> bytes:
    """`y` = `x`, of any type and shape."""
    return model(
        nodes=[helper.make_node("Identity", ["x"], ["y"])],
        inputs=[tensor("x", element_type, shape)],
        outputs=[tensor("y", element_type, shape)],
    )


def summing_model() -> bytes:
    """`sums` = the sum of each column of `x` over all rows, float32 [-1, 2] to [-1, 2] with one row: it cannot be batched."""
    return model(
        nodes=[helper.make_node("ReduceSum", ["x", "axes"], ["sums"], keepdims=1)],
        inputs=[tensor("x", TensorProto.FLOAT, ["rows", 2])],
        outputs=[tensor("sums", TensorProto.FLOAT, ["rows", 2])],
        constants={"axes": np.array([0], np.int64)},
    )


def external_model() -> bytes:
    """A model whose weights lie in another file."""
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[2, 2], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="weights.bin")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "external",
        [tensor("x", TensorProto.FLOAT, ["rows", 2])],
        [tensor("y", TensorProto.FLOAT, ["rows", 2])],
        [weights],
    )
    return _serialized(graph)


def model(
    *,
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    constants: dict[str, NDArray[Any]] | None = None,
) -> bytes:
    """The ONNX file of a graph."""
    initializers = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    return _serialized(helper.make_graph(list(nodes), "sample", list(inputs), list(outputs), initializers))


def tensor(name: str, element_type: int, shape: Sequence[int | str]) -> ValueInfoProto:
    """An input or output; a text is an extent that varies."""
    return helper.make_tensor_value_info(name, element_type, list(shape))


def _serialized(graph: Any) -> bytes:
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    return made.SerializeToString(deterministic=True)
