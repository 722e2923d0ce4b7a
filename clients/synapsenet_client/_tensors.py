"""Inference's tensors from arrays and back."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

from synapsenet_api.inference.v1.tensor_pb2 import ElementType, Tensor
from synapsenet_client._enums import enum_name, enum_value
from synapsenet_client._errors import DataLoss, InvalidArgument
from synapsenet_client._values import CODES, Typed, Values, element_type, flattened, nested, numpy, packed, shape_of, unpacked


def tensors(inputs: Mapping[str, Values | Typed]) -> list[Tensor]:
    """Arrays by input name as messages; an array's type is kept, Python's float becomes FLOAT64, int INT64.

    Raises:
        InvalidArgument: an input has no type that a tensor can have.
    """
    return [_tensor(name, values) for name, values in inputs.items()]


def arrays(messages: Iterable[Tensor]) -> dict[str, Any]:
    """The values of tensors by name: arrays where numpy is installed, else nested lists. Strings are bytes."""
    return {tensor.name: _values(tensor) for tensor in messages}


def _tensor(name: str, given: Values | Typed) -> Tensor:
    values = given.values if isinstance(given, Typed) else given
    kind = given.element_type.upper() if isinstance(given, Typed) else element_type(name, values)
    if kind in CODES:
        data = packed(name, values, kind)
    elif kind not in {"STRING", "BYTES"}:
        known = ", ".join(CODES)
        raise InvalidArgument(f"{name}: {kind} is no element type: choose STRING, {known}", reason="TYPE_UNKNOWN")
    else:
        kind = "STRING"
        texts = [value.encode() if isinstance(value, str) else value for value in flattened(values)]
        data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return Tensor(name=name, element_type=enum_value(name, ElementType, kind), shape=shape_of(values), data=data)


def _values(tensor: Tensor) -> Any:
    kind = enum_name(ElementType, tensor.element_type)
    if kind == "STRING":
        return nested(_strings(tensor.data), tensor.shape)
    if kind == "BFLOAT16":
        return _bfloat16(tensor)
    if kind not in CODES:
        newer = f"{tensor.name}: its type {kind} is newer than this SDK: update synapsenet"
        raise DataLoss(newer, reason="ELEMENT_TYPE_UNKNOWN")
    return unpacked(tensor.data, kind, tensor.shape)


def _bfloat16(tensor: Tensor) -> Any:
    """Widened to float32, of which it is the upper half."""
    if (module := numpy()) is not None:
        halves = module.frombuffer(tensor.data, dtype="<u2").astype("<u4") << 16
        return halves.view("<f4").reshape(tuple(tensor.shape))
    halves = struct.unpack(f"<{len(tensor.data) // 2}H", tensor.data)
    return nested([struct.unpack("<f", struct.pack("<I", half << 16))[0] for half in halves], tensor.shape)


def _strings(data: bytes) -> list[bytes]:
    texts: list[bytes] = []
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        texts.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return texts
