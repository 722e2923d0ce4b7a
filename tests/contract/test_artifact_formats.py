"""What the registry takes for ONNX and for safetensors, tried with real files and with damaged ones."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from synapsenet.adapters.formats import FormatInspector
from synapsenet.errors import InvalidArgument
from synapsenet.registry.model import Format
from synapsenet.registry.signature import FREE, ElementType, Signature, TensorSpec


def linear_model() -> onnx.ModelProto:
    """scores = pixels · w, with `w` inside the file."""
    weights = onnx.numpy_helper.from_array(np.ones((4, 3), np.float32), "w")
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 4])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 3])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["pixels", "w"], ["scores"])], "linear", [pixels], [scores], [weights]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


async def inspected(form: Format, data: bytes, *, step: int = 7) -> Signature | None:
    inspection = FormatInspector().begin(form, size=len(data))
    for start in range(0, len(data), step):
        inspection.feed(data[start : start + step])
    return await inspection.conclude()


async def refused(form: Format, data: bytes, *, step: int = 7) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as refusal:
        await inspected(form, data, step=step)
    return refusal.value


async def outcome(form: Format, data: bytes, *, step: int) -> str:
    """`taken`, or the reason of the refusal; any other error is a bug of ours."""
    try:
        await inspected(form, data, step=step)
    except InvalidArgument as refusal:
        return refusal.reason
    return "taken"


async def test_an_onnx_file_tells_its_signature_without_its_constants() -> None:
    model = linear_model()
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]))
    assert await inspected(Format.ONNX, model.SerializeToString()) == Signature(
        inputs=(TensorSpec(name="pixels", element_type=ElementType.FLOAT32, shape=(FREE, 4)),),
        outputs=(TensorSpec(name="scores", element_type=ElementType.FLOAT32, shape=(FREE, 3)),),
    )


async def test_a_model_that_breaks_the_format_is_refused_in_the_checkers_words() -> None:
    model = linear_model()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    refusal = await refused(Format.ONNX, model.SerializeToString())
    assert refusal.reason == "ARTIFACT_NOT_ONNX"
    assert "Field 'shape' of 'type' is required" in refusal.public


@pytest.mark.parametrize("data", [b"\x80\x04N.", b"PK\x03\x04 a zip", b"plain text, no model", b"\0" * 100, b"{}"])
async def test_a_file_that_is_no_onnx_is_refused_with_the_remedy(data: bytes) -> None:
    refusal = await refused(Format.ONNX, data)
    assert refusal.reason == "ARTIFACT_NOT_ONNX"
    assert "export the model to ONNX" in refusal.public


async def test_a_model_cut_off_anywhere_is_refused() -> None:
    data = linear_model().SerializeToString()
    for end in range(1, len(data) - 1, 5):
        assert (await refused(Format.ONNX, data[:end], step=1_000)).reason == "ARTIFACT_NOT_ONNX"


async def test_a_graph_that_reads_what_nobody_makes_is_refused() -> None:
    model = linear_model()
    model.graph.node[0].input[0] = "nobody"
    assert (await refused(Format.ONNX, model.SerializeToString())).reason == "ARTIFACT_NOT_ONNX"


Hiding = Callable[[onnx.ModelProto], TensorProto]


def in_an_initializer(model: onnx.ModelProto) -> TensorProto:
    return model.graph.initializer[0]


def in_a_constant(model: onnx.ModelProto) -> TensorProto:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=helper.make_tensor("t", TensorProto.FLOAT, [1], [0])))
    return model.graph.node[-1].attribute[0].t


def in_a_branch(model: onnx.ModelProto) -> TensorProto:
    inner = helper.make_graph([], "branch", [], [], [helper.make_tensor("t", TensorProto.FLOAT, [1], [0])])
    model.graph.node.append(helper.make_node("If", ["pixels"], ["o"], then_branch=inner, else_branch=inner))
    return model.graph.node[-1].attribute[1].g.initializer[0]


def in_a_sparse_initializer(model: onnx.ModelProto) -> TensorProto:
    return model.graph.sparse_initializer.add().values


def in_a_function(model: onnx.ModelProto) -> TensorProto:
    node = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("t", TensorProto.FLOAT, [1], [0]))
    model.functions.append(helper.make_function("own", "f", [], ["c"], [node], [helper.make_opsetid("", 17)]))
    return model.functions[0].node[0].attribute[0].t


def in_training_info(model: onnx.ModelProto) -> TensorProto:
    return model.training_info.add().initialization.initializer.add()


@pytest.mark.parametrize(
    "hidden", [in_an_initializer, in_a_constant, in_a_branch, in_a_sparse_initializer, in_a_function, in_training_info]
)
async def test_a_reference_to_another_file_is_refused_wherever_it_hides(
    hidden: Callable[[onnx.ModelProto], TensorProto],
) -> None:
    model = linear_model()
    tensor = hidden(model)
    tensor.name = "smuggled"
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    refusal = await refused(Format.ONNX, model.SerializeToString())
    assert (refusal.reason, refusal.metadata) == ("ARTIFACT_EXTERNAL_DATA", {"tensor": "smuggled"})


async def test_an_output_that_is_no_tensor_is_refused_by_name() -> None:
    model = linear_model()
    model.graph.output[0].type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT
    refusal = await refused(Format.ONNX, model.SerializeToString())
    assert (refusal.reason, refusal.metadata) == ("ARTIFACT_SIGNATURE_UNSUPPORTED", {"tensor": "scores"})


TENSORS = safetensors.numpy.save({"w": np.ones((2, 3), np.float32), "b": np.zeros(3, np.int64)}, metadata={"made": "here"})


@pytest.mark.parametrize("step", [1, 7, 1_000])
async def test_what_the_safetensors_library_saves_is_taken_in_any_chunks(step: int) -> None:
    assert await inspected(Format.SAFETENSORS, TENSORS, step=step) is None


def described(header: object, *, data: bytes = b"\0" * 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(dtype: str, shape: object, start: object, stop: object) -> object:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        TENSORS[:-1],
        TENSORS + b"\0",
        (1 << 62).to_bytes(8, "little") + b"{}",
        described(b"{"),
        described(b"[]"),
        described(b"[" * 100_000),
        described({}),
        described({"w": tensor("F32", [2], 0, 4)}),
        described({"w": tensor("F33", [2], 0, 8)}),
        described({"w": tensor("F32", [2.0], 0, 8)}),
        described({"w": tensor("F32", [-2, -1], 0, 8)}),
        described({"w": tensor("F32", [1], 0, 4), "v": tensor("F32", [1], 0, 4)}, data=b"\0" * 4),
        described({"w": tensor("F32", [1], 4, 8)}),
        described({"w": 3}),
        described(
            b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
        ),
    ],
)
async def test_a_file_that_is_no_safetensors_is_refused(data: bytes) -> None:
    assert (await refused(Format.SAFETENSORS, data, step=1_000)).reason == "ARTIFACT_NOT_SAFETENSORS"


@given(st.binary(max_size=200), st.sampled_from(Format))
async def test_no_bytes_whatever_break_the_inspection(data: bytes, form: Format) -> None:
    assert (await outcome(form, data, step=7)).startswith(("taken", "ARTIFACT_"))


@given(st.integers(0, 500), st.binary(min_size=1, max_size=4))
async def test_a_damaged_model_is_read_or_refused_and_nothing_else(at: int, damage: bytes) -> None:
    data = bytearray(linear_model().SerializeToString())
    data[at % len(data) : at % len(data) + len(damage)] = damage
    assert (await outcome(Format.ONNX, bytes(data), step=1_000)).startswith(("taken", "ARTIFACT_"))
