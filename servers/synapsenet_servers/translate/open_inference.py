"""The Open Inference Protocol over gRPC: its names of types, its typed and raw contents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synapsenet.errors import InvalidArgument
from synapsenet.inference.model import Deployment, DeploymentState, ElementType, TensorSpec, VersionKey
from synapsenet.inference.service import Prediction, Selector
from synapsenet.inference.tensors import Tensor, numpy_type, packed_strings, unpacked_strings
from synapsenet_api.open_inference import grpc_service_pb2 as pb

NAMES: Mapping[ElementType, str] = {
    ElementType.BOOL: "BOOL",
    ElementType.INT8: "INT8",
    ElementType.INT16: "INT16",
    ElementType.INT32: "INT32",
    ElementType.INT64: "INT64",
    ElementType.UINT8: "UINT8",
    ElementType.UINT16: "UINT16",
    ElementType.UINT32: "UINT32",
    ElementType.UINT64: "UINT64",
    ElementType.FLOAT16: "FP16",
    ElementType.FLOAT32: "FP32",
    ElementType.FLOAT64: "FP64",
    ElementType.BFLOAT16: "BF16",
    ElementType.STRING: "BYTES",
}
TYPES: Mapping[str, ElementType] = {name: element_type for element_type, name in NAMES.items()}
PLATFORM = "onnx_onnxv1"
SERVER = "synapsenet"

_CONTENTS: Mapping[ElementType, str] = {
    ElementType.BOOL: "bool_contents",
    ElementType.INT8: "int_contents",
    ElementType.INT16: "int_contents",
    ElementType.INT32: "int_contents",
    ElementType.INT64: "int64_contents",
    ElementType.UINT8: "uint_contents",
    ElementType.UINT16: "uint_contents",
    ElementType.UINT32: "uint_contents",
    ElementType.UINT64: "uint64_contents",
    ElementType.FLOAT32: "fp32_contents",
    ElementType.FLOAT64: "fp64_contents",
    ElementType.STRING: "bytes_contents",
}
_REPOSITORY_PARAMETERS = frozenset({"version", "unload_dependents"})  # nothing depends on a model here
_INDEX_STATES = {
    DeploymentState.LOADING: "LOADING",
    DeploymentState.SERVING: "READY",
    DeploymentState.FAILED: "UNAVAILABLE",
    DeploymentState.DRAINING: "UNLOADING",
}


def selector(name: str, version: str) -> Selector:
    """Which model version is meant; an empty version leaves the choice to the platform.

    Raises:
        InvalidArgument: VERSION_INVALID.
    """
    if not version:
        return Selector(model=name)
    if not (version.isascii() and version.isdecimal() and len(version) < 10 and int(version) >= 1):
        raise InvalidArgument("VERSION_INVALID", field="model_version", remedy="versions are numbers from 1")
    return Selector(model=name, version=int(version))


def parameters(request: pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest) -> dict[str, Any]:
    """The parameters of a request to the repository, each as the value that it holds."""
    given = {}
    for name, value in request.parameters.items():
        kind = value.WhichOneof("parameter_choice")
        given[name] = getattr(value, kind) if kind else None
    return given


def wished_version(parameters: Mapping[str, Any]) -> int | None:
    """The version that a request to the repository names; None: the choice is left to the platform.

    Raises:
        InvalidArgument: VERSION_INVALID; PARAMETER_UNKNOWN.
    """
    for name in parameters:
        if name not in _REPOSITORY_PARAMETERS:
            raise InvalidArgument(
                "PARAMETER_UNKNOWN",
                f"parameters: there is no parameter {name[:64]!r}",
                field="parameters",
                remedy="name a version by `version`, or leave it out",
            )
    named = parameters.get("version")
    return None if named is None else selector("", str(named)).version


def tensors(request: pb.ModelInferRequest) -> list[Tensor]:
    """The inputs of a request, of raw or of typed contents.

    Raises:
        InvalidArgument: RAW_CONTENTS, TENSOR_VALUES.
    """
    if not request.raw_input_contents:
        return [_typed(given, index) for index, given in enumerate(request.inputs)]
    if len(request.raw_input_contents) != len(request.inputs) or any(given.HasField("contents") for given in request.inputs):
        raise InvalidArgument(
            "RAW_CONTENTS",
            f"{len(request.raw_input_contents)} raw contents came for {len(request.inputs)} inputs",
            field="raw_input_contents",
            remedy="give raw contents for every input and typed contents for none, or the other way round",
        )
    return [_tensor(given, data) for given, data in zip(request.inputs, request.raw_input_contents, strict=True)]


def to_response(request: pb.ModelInferRequest, prediction: Prediction) -> pb.ModelInferResponse:
    """The answer: raw contents for a raw request, or if a type has no typed contents; typed ones else."""
    response = pb.ModelInferResponse(
        model_name=prediction.deployment.model_name, model_version=str(prediction.deployment.key.version), id=request.id
    )
    raw = bool(request.raw_input_contents) or any(output.element_type not in _CONTENTS for output in prediction.outputs)
    for output in prediction.outputs:
        assert output.element_type is not None  # the model's own
        wire = response.outputs.add(name=output.name, datatype=NAMES[output.element_type], shape=output.shape)
        if raw:
            response.raw_output_contents.append(output.data)
        else:
            getattr(wire.contents, _CONTENTS[output.element_type]).extend(values(output))
    return response


def values(tensor: Tensor) -> list[Any]:
    """The elements of a tensor that the model gave, flat."""
    assert tensor.element_type is not None  # the model's own
    if tensor.element_type is ElementType.STRING:
        return unpacked_strings(tensor.data)
    flat: list[Any] = np.frombuffer(tensor.data, numpy_type(tensor.element_type)).tolist()
    return flat


def to_metadata(spec: TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    """What a model expects or promises."""
    return pb.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=NAMES[spec.element_type], shape=spec.shape)


def to_versions(keys: list[VersionKey]) -> list[str]:
    return [str(key.version) for key in keys]


def to_index(deployment: Deployment) -> pb.RepositoryIndexResponse.ModelIndex:
    """A deployment as the index of a repository shows it."""
    return pb.RepositoryIndexResponse.ModelIndex(
        name=deployment.model_name,
        version=str(deployment.key.version),
        state=_INDEX_STATES[deployment.state],
        reason=deployment.condition.message if deployment.condition else "",
    )


def _typed(given: pb.ModelInferRequest.InferInputTensor, index: int) -> Tensor:
    element_type = TYPES.get(given.datatype)
    if element_type is None or element_type not in _CONTENTS:
        return _tensor(given, b"")
    elements = getattr(given.contents, _CONTENTS[element_type])
    if element_type is ElementType.STRING:
        return _tensor(given, packed_strings(elements))
    try:
        return _tensor(given, np.array(elements, numpy_type(element_type)).tobytes())
    except OverflowError as error:
        raise InvalidArgument(
            "TENSOR_VALUES",
            f"input {given.name!r} has values that are no {given.datatype}",
            field=f"inputs[{index}].contents",
            remedy="give values within the type's range",
        ) from error


def _tensor(given: pb.ModelInferRequest.InferInputTensor, data: bytes) -> Tensor:
    return Tensor(name=given.name, element_type=TYPES.get(given.datatype), shape=tuple(given.shape), data=data)
