"""Arrays as raw little-endian bytes and back, with numpy where it is installed and without it where it is not.

Element types are called by one set of names here; each area maps its own enum onto them.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from synapsenet_client._errors import InvalidArgument

if TYPE_CHECKING:
    import numpy as np

Values: TypeAlias = "np.ndarray[Any, Any] | Sequence[Any]"
"""What the SDK takes for many values: a numpy array, or a sequence (nested for more dimensions). It gives back a numpy array
where numpy is installed, else a (nested) list."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A sequence with its element type said, where the values do not tell it: `Typed([[0.5, 1.0]], "FLOAT32")`.

    Attributes:
        values: a sequence, nested for more dimensions.
        element_type: BOOL, INT8 … INT64, UINT8 … UINT64, FLOAT16, FLOAT32, FLOAT64 or STRING.
    """

    values: Sequence[Any]
    element_type: str


CODES = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I",
    "UINT64": "Q", "FLOAT16": "e", "FLOAT32": "f", "FLOAT64": "d",
}  # fmt: skip
"""struct's code for each element type of fixed size."""

SIZES = {name: struct.calcsize(f"<{code}") for name, code in CODES.items()}


def numpy() -> Any:
    """The numpy module, or None where it is not installed."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def is_array(values: object) -> bool:
    """Whether `values` is a numpy array or scalar; asks without importing numpy."""
    module = sys.modules.get("numpy")
    return module is not None and isinstance(values, module.ndarray | module.generic)


def element_type(name: str, values: Values) -> str:
    """The element type that `values` have: an array's own, INT64, FLOAT64, BOOL, STRING or BYTES for Python's objects.

    Args:
        name: of the column or tensor, for the sentence that reports a mixture.
        values: the values; None stands for a null.

    Raises:
        InvalidArgument: they have no common type, or one that the platform does not know.
    """
    if is_array(values) and values.dtype.kind in "biuf":  # type: ignore[union-attr]  # is_array has seen to it
        return _named(values.dtype)  # type: ignore[union-attr]  # is_array has seen to it
    kinds = {type(value) for value in flattened(values) if value is not None}
    for candidates, kind in (
        ({bool}, "BOOL"), ({int}, "INT64"), ({int, float}, "FLOAT64"), ({str}, "STRING"), ({bytes}, "BYTES"),
    ):  # fmt: skip
        if kinds and kinds <= candidates:
            return kind
    found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "no values"
    raise InvalidArgument(
        f"{name}: its element type cannot be told ({found}): give a numpy array, or values of one type",
        reason="ELEMENT_TYPE_UNKNOWN",
    )


def shape_of(values: Any) -> tuple[int, ...]:
    """Extents of an array or of nested sequences, outermost first; () for a scalar."""
    if is_array(values):
        return tuple(values.shape)
    shape: list[int] = []
    inner = values
    while isinstance(inner, Sequence) and not isinstance(inner, str | bytes | bytearray):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    return tuple(shape)


def flattened(values: Any) -> list[Any]:
    """All elements, row after row, as Python objects."""
    if is_array(values):
        return list(values.reshape(-1).tolist())
    if isinstance(values, Sequence) and not isinstance(values, str | bytes | bytearray):
        return [element for value in values for element in flattened(value)]
    return [values]


def packed(name: str, values: Values, kind: str) -> bytes:
    """The elements row after row, little-endian, without padding; a None takes the room of a zero.

    Raises:
        InvalidArgument: an element does not fit `kind`.
    """
    code = CODES[kind]
    try:
        if is_array(values) and values.dtype.kind in "biuf":  # type: ignore[union-attr]  # is_array has seen to it
            return _converted(values, kind).tobytes()  # type: ignore[no-any-return]  # numpy is optional, so untyped here
        elements = [0 if element is None else element for element in flattened(values)]
        return struct.pack(f"<{len(elements)}{code}", *elements)
    except (struct.error, TypeError, ValueError, OverflowError) as problem:
        raise InvalidArgument(
            f"{name}: its values are no {kind} ({problem}): convert them first", reason="ELEMENT_TYPE_MISMATCH"
        ) from problem


def unpacked(data: bytes, kind: str, shape: Sequence[int]) -> Any:
    """The inverse of `packed`: an array of `shape`, or nested lists without numpy; an array is read-only and costs no copy."""
    code = CODES[kind]
    if (module := numpy()) is not None:
        return module.frombuffer(data, dtype=f"<{code}" if code != "?" else "?").reshape(tuple(shape))
    return nested(list(struct.unpack(f"<{len(data) // SIZES[kind]}{code}", data)), shape)


def nested(elements: list[Any], shape: Sequence[int]) -> Any:
    """`elements`, row after row, as lists in lists."""
    for extent in reversed(tuple(shape)[1:]):
        elements = [elements[start : start + extent] for start in range(0, len(elements), extent)] if extent else []
    return elements if shape else elements[0]


def _converted(values: Any, kind: str) -> Any:
    """An array in the element type `kind`; an integer that would not survive the conversion is an error, never wrapped."""
    converted = values.astype(f"<{CODES[kind]}" if kind != "BOOL" else "?", casting="same_kind", copy=False)
    if "INT" in kind and converted.dtype != values.dtype and not (converted == values).all():
        raise OverflowError("a value is out of its range")
    return converted


def _named(dtype: Any) -> str:
    code = {"f2": "e", "f4": "f", "f8": "d"}.get(f"{dtype.kind}{dtype.itemsize}")
    sizes = {1: "8", 2: "16", 4: "32", 8: "64"}
    if dtype.kind == "b":
        return "BOOL"
    if code is not None:
        return next(name for name, known in CODES.items() if known == code)
    return f"{'U' if dtype.kind == 'u' else ''}INT{sizes[dtype.itemsize]}" if dtype.kind in "iu" else str(dtype)
