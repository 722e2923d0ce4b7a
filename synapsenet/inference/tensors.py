"""Tensors as they travel and as they are computed with, and the check between the two."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import InvalidArgument
from synapsenet.inference.model import ElementType, Signature, TensorSpec

Array = NDArray[Any]

_LITTLE_ENDIAN: Mapping[ElementType, np.dtype[Any]] = {
    ElementType.BOOL: np.dtype("?"),
    ElementType.INT8: np.dtype("<i1"),
    ElementType.INT16: np.dtype("<i2"),
    ElementType.INT32: np.dtype("<i4"),
    ElementType.INT64: np.dtype("<i8"),
    ElementType.UINT8: np.dtype("<u1"),
    ElementType.UINT16: np.dtype("<u2"),
    ElementType.UINT32: np.dtype("<u4"),
    ElementType.UINT64: np.dtype("<u8"),
    ElementType.FLOAT16: np.dtype("<f2"),
    ElementType.FLOAT32: np.dtype("<f4"),
    ElementType.FLOAT64: np.dtype("<f8"),
    ElementType.STRING: np.dtype("O"),
}
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An array as it travels.

    Attributes:
        element_type: None if the sender named none.
        shape: extents, outermost first.
        data: the elements in row-major order, little-endian; a STRING is a 4-byte length and its UTF-8 bytes.
    """

    name: str
    element_type: ElementType | None
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """A request's inputs, checked against a signature.

    Attributes:
        arrays: one for each input, in the signature's order.
        rows: their common first extent; 1 for a model that does not batch.
        size: bytes.
        kind: equal for inputs that fit into one batch.
    """

    arrays: tuple[Array, ...]
    rows: int
    size: int
    kind: tuple[tuple[int, ...], ...]


def numpy_type(element_type: ElementType) -> np.dtype[Any] | None:
    """The little-endian numpy type of `element_type`, `object` for STRING; None where numpy has none."""
    return _LITTLE_ENDIAN.get(element_type)


def check_inputs(signature: Signature, tensors: Sequence[Tensor], *, max_rows: int, field: str = "inputs") -> Inputs:
    """The arrays that a model of `signature` takes.

    Raises:
        InvalidArgument: TENSOR_UNKNOWN, TENSOR_TWICE, TENSOR_MISSING, TENSOR_TYPE, TENSOR_SHAPE, TENSOR_CONTENTS,
            TENSOR_ROWS or REQUEST_ROWS, naming the tensor and what was expected of it.
    """
    named = _by_name(signature, tensors, field)
    arrays = tuple(_array(spec, *named[spec.name], field) for spec in signature.inputs)
    rows = _rows(signature, arrays, max_rows, field)
    return Inputs(
        arrays=arrays,
        rows=rows,
        size=sum(len(tensor.data) for tensor in tensors),
        kind=tuple(array.shape[1:] if signature.batches else array.shape for array in arrays),
    )


def check_outputs(signature: Signature, names: Sequence[str], *, field: str = "output_names") -> tuple[int, ...]:
    """The places of the outputs called `names` in the signature; of all if there are no names.

    Raises:
        InvalidArgument: OUTPUT_UNKNOWN.
    """
    places = {spec.name: place for place, spec in enumerate(signature.outputs)}
    for index, name in enumerate(names):
        if name not in places:
            raise InvalidArgument(
                "OUTPUT_UNKNOWN",
                f"the model has no output {name!r}",
                field=f"{field}[{index}]",
                remedy=f"name some of: {', '.join(places)}",
            )
    return tuple(places[name] for name in names) or tuple(places.values())


def packed_strings(texts: Iterable[bytes]) -> bytes:
    """The contents of a STRING tensor with these elements."""
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)


def unpacked_strings(data: bytes) -> list[bytes]:
    """The elements of a STRING tensor with these contents.

    Raises:
        ValueError: they are cut short.
    """
    texts: list[bytes] = []
    place = 0
    while place < len(data):
        if len(data) - place < _LENGTH.size:
            raise ValueError("a length is cut short")
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size + length
        if place > len(data):
            raise ValueError("a string is cut short")
        texts.append(data[place - length : place])
    return texts


def travelling(spec: TensorSpec, array: Array) -> Tensor:
    """`array` as the tensor that `spec` describes."""
    return Tensor(name=spec.name, element_type=spec.element_type, shape=array.shape, data=_raw(spec.element_type, array))


def described(spec: TensorSpec) -> str:
    """A spec as people read it: `FLOAT32[-1, 64]`."""
    return f"{spec.element_type.value}{list(spec.shape)}"


def _by_name(signature: Signature, tensors: Sequence[Tensor], field: str) -> dict[str, tuple[int, Tensor]]:
    known = {spec.name for spec in signature.inputs}
    named: dict[str, tuple[int, Tensor]] = {}
    for index, tensor in enumerate(tensors):
        if tensor.name not in known:
            raise InvalidArgument(
                "TENSOR_UNKNOWN",
                f"the model has no input {tensor.name!r}",
                field=f"{field}[{index}].name",
                remedy=f"give {_listed(signature.inputs)}",
            )
        if tensor.name in named:
            raise InvalidArgument(
                "TENSOR_TWICE", f"input {tensor.name!r} is given twice", field=f"{field}[{index}].name", remedy="give it once"
            )
        named[tensor.name] = index, tensor
    for spec in signature.inputs:
        if spec.name not in named:
            raise InvalidArgument(
                "TENSOR_MISSING",
                f"input {spec.name!r} is missing",
                field=field,
                remedy=f"give {_listed(signature.inputs)}",
            )
    return named


def _array(spec: TensorSpec, index: int, tensor: Tensor, field: str) -> Array:
    if tensor.element_type is not spec.element_type:
        given = tensor.element_type.value if tensor.element_type else "no type"
        raise InvalidArgument(
            "TENSOR_TYPE",
            f"input {spec.name!r} has {given}",
            field=f"{field}[{index}].element_type",
            remedy=f"the model expects {described(spec)}",
        )
    if len(tensor.shape) != len(spec.shape) or any(
        given < 0 or expected not in (-1, given) for given, expected in zip(tensor.shape, spec.shape, strict=True)
    ):
        raise InvalidArgument(
            "TENSOR_SHAPE",
            f"input {spec.name!r} has shape {list(tensor.shape)}",
            field=f"{field}[{index}].shape",
            remedy=f"the model expects {described(spec)}, -1 being any extent from 0",
        )
    if spec.element_type is ElementType.STRING:
        return _strings(tensor, f"{field}[{index}].data")
    dtype = _LITTLE_ENDIAN[spec.element_type]
    expected = math.prod(tensor.shape) * dtype.itemsize
    if len(tensor.data) != expected:
        raise InvalidArgument(
            "TENSOR_CONTENTS",
            f"input {spec.name!r} has {len(tensor.data)} bytes of contents",
            field=f"{field}[{index}].data",
            remedy=f"shape {list(tensor.shape)} of {spec.element_type.value} takes exactly {expected}",
        )
    return np.frombuffer(tensor.data, dtype).reshape(tensor.shape)


def _rows(signature: Signature, arrays: Sequence[Array], max_rows: int, field: str) -> int:
    if not signature.batches:
        return 1
    rows = int(arrays[0].shape[0])
    for spec, array in zip(signature.inputs, arrays, strict=True):
        if array.shape[0] != rows:
            raise InvalidArgument(
                "TENSOR_ROWS",
                f"input {spec.name!r} has {array.shape[0]} rows and input {signature.inputs[0].name!r} has {rows}",
                field=field,
                remedy="give every input the same first extent",
            )
    if not 1 <= rows <= max_rows:
        raise InvalidArgument(
            "REQUEST_ROWS", f"the request has {rows} rows", field=field, remedy=f"send 1 to {max_rows} rows at a time"
        )
    return rows


def _strings(tensor: Tensor, field: str) -> Array:
    """The elements of a STRING tensor: byte strings of their own lengths, exactly as many as the shape says."""
    try:
        texts = [text.decode() for text in unpacked_strings(tensor.data)]
    except ValueError as error:
        raise _bad_strings(tensor, "is cut short or no UTF-8", field) from error
    if len(texts) != math.prod(tensor.shape):
        raise _bad_strings(tensor, f"has {len(texts)} strings", field)
    return np.array(texts, dtype=object).reshape(tensor.shape)


def _bad_strings(tensor: Tensor, fault: str, field: str) -> InvalidArgument:
    return InvalidArgument(
        "TENSOR_CONTENTS",
        f"input {tensor.name!r} {fault}",
        field=field,
        remedy=f"shape {list(tensor.shape)} takes {math.prod(tensor.shape)} strings, each a 4-byte length and its bytes",
    )


def _raw(element_type: ElementType, array: Array) -> bytes:
    if element_type is ElementType.STRING:
        return packed_strings(str(text).encode() for text in array.ravel())
    return np.ascontiguousarray(array, dtype=_LITTLE_ENDIAN[element_type]).tobytes()


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name!r} as {described(spec)}" for spec in specs)
