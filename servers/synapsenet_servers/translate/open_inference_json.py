"""The Open Inference Protocol's JSON bodies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.api.httpbody_pb2 import HttpBody

from synapsenet.errors import FailedPrecondition, InvalidArgument, NotYetAvailable
from synapsenet.inference.model import Deployment, ElementType, TensorSpec
from synapsenet.inference.service import Prediction
from synapsenet.inference.tensors import Tensor, numpy_type, packed_strings
from synapsenet_servers.translate.open_inference import NAMES, TYPES, to_index, values, wished_version

JSON = "application/json"
BINARY_HEADER = "inference-header-content-length"

_INTEGERS = frozenset("iu")
_NUMBERS = frozenset("iuf")


def json_body(content: Any) -> HttpBody:
    """`content` as a JSON body.

    Raises:
        FailedPrecondition: OUTPUT_NOT_JSON, it has a number that JSON cannot say.
    """
    try:
        text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise FailedPrecondition(
            "OUTPUT_NOT_JSON", "an output holds a NaN or an infinity, which JSON has no number for", remedy="ask over gRPC"
        ) from error
    return HttpBody(content_type=JSON, data=text.encode())


def json_object(body: HttpBody) -> dict[str, Any]:
    """The object that a request's body is; an empty body is an empty one.

    Raises:
        InvalidArgument: BODY_NOT_JSON.
    """
    try:
        content = json.loads(body.data or b"{}")
    except (ValueError, RecursionError) as error:
        raise _not_json(str(error)) from error
    if not isinstance(content, dict):
        raise _not_json("it is no object")
    return content


def refuse_binary(metadata: Sequence[tuple[str, Any]]) -> None:
    """Pass if the body is JSON only.

    Raises:
        NotYetAvailable: NOT_YET_AVAILABLE.
    """
    if any(name == BINARY_HEADER for name, _ in metadata):
        raise NotYetAvailable(
            "NOT_YET_AVAILABLE", "binary tensors over HTTP are not available yet", field=BINARY_HEADER, remedy="send JSON only"
        )


def request(body: HttpBody) -> tuple[dict[str, Any], list[Tensor]]:
    """An inference request: all of it, and its inputs.

    Raises:
        InvalidArgument: BODY_NOT_JSON, BODY_INVALID, TENSOR_VALUES.
        NotYetAvailable: NOT_YET_AVAILABLE, a tensor is binary.
    """
    content = json_object(body)
    inputs = content.get("inputs")
    if not isinstance(inputs, list):
        raise _invalid("inputs", "give a list of tensors")
    return content, [_tensor(given, f"inputs[{place}]") for place, given in enumerate(inputs)]


def request_outputs(content: dict[str, Any]) -> list[str]:
    """The names of the outputs that a request wants; none for all.

    Raises:
        InvalidArgument: BODY_INVALID.
    """
    outputs = content.get("outputs", [])
    if not isinstance(outputs, list):
        raise _invalid("outputs", "give a list of objects with a name")
    return [_text(wanted, "name", f"outputs[{place}]") for place, wanted in enumerate(outputs)]


def ready_only(body: HttpBody) -> bool:
    """Whether a request for the index wants models that are ready only.

    Raises:
        InvalidArgument: BODY_NOT_JSON.
    """
    return json_object(body).get("ready") is True


def repository_version(body: HttpBody) -> int | None:
    """The version that a request to load or unload names in its `parameters`; None: the choice is left to the platform.

    Raises:
        InvalidArgument: BODY_NOT_JSON, BODY_INVALID, VERSION_INVALID, PARAMETER_UNKNOWN.
    """
    parameters = json_object(body).get("parameters", {})
    if not isinstance(parameters, dict):
        raise _invalid("parameters", "give an object")
    return wished_version(parameters)


def response(content: dict[str, Any], prediction: Prediction) -> HttpBody:
    """The answer to the inference request `content`.

    Raises:
        FailedPrecondition: OUTPUT_NOT_JSON.
    """
    answer = {
        "model_name": prediction.deployment.model_name,
        "model_version": str(prediction.deployment.key.version),
        "outputs": [_output(output) for output in prediction.outputs],
    }
    return json_body(answer | ({"id": content["id"]} if "id" in content else {}))


def metadata(spec: TensorSpec) -> dict[str, Any]:
    """What a model expects or promises."""
    return {"name": spec.name, "datatype": NAMES[spec.element_type], "shape": list(spec.shape)}


def index(deployment: Deployment) -> dict[str, str]:
    """A deployment as the index of a repository shows it."""
    entry = to_index(deployment)
    return {"name": entry.name, "version": entry.version, "state": entry.state, "reason": entry.reason}


def _tensor(given: Any, field: str) -> Tensor:
    name, datatype = _text(given, "name", field), _text(given, "datatype", field)
    shape = given.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise _invalid(f"{field}.shape", "give a list of whole numbers from 0")
    if isinstance(given.get("parameters"), dict) and "binary_data_size" in given["parameters"]:
        raise NotYetAvailable(
            "NOT_YET_AVAILABLE",
            "binary tensors over HTTP are not available yet",
            field=f"{field}.parameters.binary_data_size",
            remedy="send the tensor's data as JSON",
        )
    element_type = TYPES.get(datatype)
    if element_type is None or (element_type is not ElementType.STRING and numpy_type(element_type) is None):
        raise _invalid(f"{field}.datatype", f"give one of {', '.join(TYPES)}; BF16 travels over gRPC only")
    return Tensor(
        name=name, element_type=element_type, shape=tuple(shape), data=_packed(given.get("data"), element_type, name, field)
    )


def _packed(data: Any, element_type: ElementType, name: str, field: str) -> bytes:
    """The elements of nested or flat lists as raw bytes."""
    refusal = InvalidArgument(
        "TENSOR_VALUES",
        f"input {name!r} has data that are no {NAMES[element_type]}",
        field=f"{field}.data",
        remedy="give a flat or an evenly nested list of values of that type",
    )
    if not isinstance(data, list):
        raise refusal
    if element_type is ElementType.STRING:
        texts = np.array(data, dtype=object).ravel().tolist()
        if not all(isinstance(text, str) for text in texts):
            raise refusal
        return packed_strings([text.encode() for text in texts])
    try:
        given = np.array(data) if data else np.empty(0, numpy_type(element_type))
        dtype = np.dtype(numpy_type(element_type))
        if given.dtype.kind not in _kinds(dtype):
            raise refusal
        array = given.astype(dtype)
        if dtype.kind in _INTEGERS and not np.array_equal(array, given):
            raise refusal
    except (ValueError, TypeError, OverflowError) as error:
        raise refusal from error
    return array.tobytes()


def _kinds(dtype: np.dtype[Any]) -> frozenset[str]:
    """The kinds of JSON values that an element of `dtype` may be given as."""
    if dtype.kind == "b":
        return frozenset("b")
    return _INTEGERS if dtype.kind in _INTEGERS else _NUMBERS


def _output(tensor: Tensor) -> dict[str, Any]:
    assert tensor.element_type is not None  # the model's own
    flat = values(tensor)
    data = [text.decode() for text in flat] if tensor.element_type is ElementType.STRING else flat
    return {"name": tensor.name, "datatype": NAMES[tensor.element_type], "shape": list(tensor.shape), "data": data}


def _text(given: Any, key: str, field: str) -> str:
    text = given.get(key) if isinstance(given, dict) else None
    if not isinstance(text, str) or not text:
        raise _invalid(f"{field}.{key}", "give a text")
    return text


def _invalid(field: str, remedy: str) -> InvalidArgument:
    return InvalidArgument("BODY_INVALID", f"{field} is missing or of another kind", field=field, remedy=remedy)


def _not_json(fault: str) -> InvalidArgument:
    return InvalidArgument(
        "BODY_NOT_JSON", f"the body is no JSON object ({fault})", field="body", remedy="send an inference request as JSON"
    )
