"""ONNX files: whether a file is one, stands by itself, and what goes in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfoProto

from synapsenet.errors import InvalidArgument
from synapsenet.registry.ports import Inspection
from synapsenet.registry.signature import FREE, ElementType, Signature, TensorSpec

_ELEMENT_TYPES: dict[int, ElementType] = {
    TensorProto.BOOL: ElementType.BOOL,
    TensorProto.UINT8: ElementType.UINT8,
    TensorProto.UINT16: ElementType.UINT16,
    TensorProto.UINT32: ElementType.UINT32,
    TensorProto.UINT64: ElementType.UINT64,
    TensorProto.INT8: ElementType.INT8,
    TensorProto.INT16: ElementType.INT16,
    TensorProto.INT32: ElementType.INT32,
    TensorProto.INT64: ElementType.INT64,
    TensorProto.FLOAT16: ElementType.FLOAT16,
    TensorProto.BFLOAT16: ElementType.BFLOAT16,
    TensorProto.FLOAT: ElementType.FLOAT32,
    TensorProto.DOUBLE: ElementType.FLOAT64,
    TensorProto.STRING: ElementType.STRING,
}


class OnnxInspection(Inspection):
    """Collects the file in memory, as its one protobuf message can only be read whole, and reads it on another thread."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    async def conclude(self) -> Signature:
        chunks, self._chunks = self._chunks, []
        return await asyncio.to_thread(lambda: read_signature(b"".join(chunks)))


def read_signature(data: bytes) -> Signature:
    """What goes into and comes out of the ONNX model that `data` is.

    Raises:
        InvalidArgument: ARTIFACT_NOT_ONNX, ARTIFACT_EXTERNAL_DATA or ARTIFACT_SIGNATURE_UNSUPPORTED.
    """
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise _not_onnx("it is no ONNX file", secret=str(error)) from error
    # Before the checker, which would look for the files that a reference names.
    _refuse_external_data(model)
    try:
        onnx.checker.check_model(data)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise _not_onnx(f"it is no valid ONNX model ({_first_line(error)})", secret=str(error)) from error
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_tensor(value) for value in model.graph.input if value.name not in constants)
    outputs = tuple(_tensor(value) for value in model.graph.output)
    try:
        return Signature(inputs=inputs, outputs=outputs)
    except InvalidArgument as error:  # the file's fault, not that of a signature which the caller declared
        raise _not_onnx(f"its {error.message}", secret=str(error)) from error


def _refuse_external_data(model: ModelProto) -> None:
    for tensor in _tensors(model):
        if tensor.external_data or tensor.data_location == TensorProto.EXTERNAL:
            raise InvalidArgument(
                "ARTIFACT_EXTERNAL_DATA",
                f"the ONNX file keeps tensor {tensor.name} in another file",
                field="data",
                remedy="save the model with all its tensors in one file",
                metadata={"tensor": tensor.name},
            )


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor of the model, wherever the format lets one stand."""
    yield from _graph_tensors(model.graph)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)
    for function in model.functions:
        yield from _node_tensors(function.node)
        for attribute in function.attribute_proto:
            yield from _attribute_tensors(attribute)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Any) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from _attribute_tensors(attribute)


def _attribute_tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    yield attribute.t
    yield from attribute.tensors
    for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
        yield from (sparse.values, sparse.indices)
    for graph in (attribute.g, *attribute.graphs):
        yield from _graph_tensors(graph)


def _tensor(value: ValueInfoProto) -> TensorSpec:
    kind = value.type.WhichOneof("value")
    element_type = _ELEMENT_TYPES.get(value.type.tensor_type.elem_type) if kind == "tensor_type" else None
    if element_type is None:
        raise InvalidArgument(
            "ARTIFACT_SIGNATURE_UNSUPPORTED",
            f"{value.name} of the ONNX model is no tensor of a type that this platform serves",
            field="data",
            remedy="export it with plain tensors only (for scikit-learn models: zipmap=False)",
            metadata={"tensor": value.name},
        )
    tensor = value.type.tensor_type
    sizes = tuple(size.dim_value if size.WhichOneof("value") == "dim_value" else FREE for size in tensor.shape.dim)
    return TensorSpec(name=value.name, element_type=element_type, shape=sizes if tensor.HasField("shape") else None)


def _first_line(error: Exception) -> str:
    """What the checker says, in short; it speaks of names in the file alone."""
    return str(error).strip().partition("\n")[0].rstrip(".")[:200]


def _not_onnx(what: str, *, secret: str) -> InvalidArgument:
    return InvalidArgument(
        "ARTIFACT_NOT_ONNX",
        f"the artifact is declared as ONNX, and {what}",
        field="data",
        remedy="export the model to ONNX and upload that file",
        secret=secret,
    )
