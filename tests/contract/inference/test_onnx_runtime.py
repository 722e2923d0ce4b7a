"""ONNX Runtime as a runtime of the platform."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from synapsenet.adapters.onnx_runtime import OnnxRuntime
from synapsenet.inference.model import ElementType
from synapsenet.inference.ports import Runtime
from synapsenet.inference.tensors import numpy_type
from synapsenet.testing.inference import RuntimeContract
from synapsenet.testing.onnx_models import exact_model, identity_model

_TYPES: dict[int, ElementType] = {
    TensorProto.BOOL: ElementType.BOOL,
    TensorProto.INT8: ElementType.INT8,
    TensorProto.INT16: ElementType.INT16,
    TensorProto.INT32: ElementType.INT32,
    TensorProto.INT64: ElementType.INT64,
    TensorProto.UINT8: ElementType.UINT8,
    TensorProto.UINT16: ElementType.UINT16,
    TensorProto.UINT32: ElementType.UINT32,
    TensorProto.UINT64: ElementType.UINT64,
    TensorProto.FLOAT16: ElementType.FLOAT16,
    TensorProto.FLOAT: ElementType.FLOAT32,
    TensorProto.DOUBLE: ElementType.FLOAT64,
}


@pytest.fixture
def runtime() -> Runtime:
    return OnnxRuntime(intra_op_threads=1)


class TestOnnxRuntime(RuntimeContract):
    """The shared suite."""


@pytest.mark.parametrize("onnx_type", _TYPES, ids=TensorProto.DataType.Name)
def test_every_type_of_numbers_comes_through_bit_for_bit(runtime: Runtime, onnx_type: int) -> None:
    loaded = runtime.load(identity_model(onnx_type, ["rows", "columns"]), artifact_format="onnx")
    element_type = _TYPES[onnx_type]
    assert loaded.signature.inputs[0].element_type is element_type
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(numpy_type(element_type))
    (given,) = loaded.compute([array])
    assert given.dtype == numpy_type(element_type)
    assert given.tobytes() == array.tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_of_the_exact_model_depend_on_nothing_but_the_row(threads: int) -> None:
    loaded = OnnxRuntime(intra_op_threads=threads).load(exact_model(), artifact_format="onnx")
    random = np.random.default_rng(7)
    rows = random.integers(0, 100, (64, 8)).astype(np.float32)
    alone = [loaded.compute([rows[place : place + 1]])[0].tobytes() for place in range(len(rows))]
    for size in (2, 3, 5, 8, 17, 64):
        order = random.permutation(len(rows))[:size]
        scores = loaded.compute([rows[order]])[0]
        assert [scores[place : place + 1].tobytes() for place in range(size)] == [alone[row] for row in order]
