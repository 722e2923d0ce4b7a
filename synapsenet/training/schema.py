"""The layout of a model's parameters: one flat float32 buffer, tensor after tensor, without gaps.

Gradients have the same layout. On the wire and in memory the numbers are little-endian binary32.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import InvalidArgument

Vector = NDArray[np.float32]

FLOAT32 = np.dtype("<f4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor: unique name, shape in C order, first byte in the flat buffer."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * FLOAT32.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSchema:
    """The tensors of a model in the order of their offsets."""

    tensors: tuple[Tensor, ...]

    @staticmethod
    def of(shapes: Sequence[tuple[str, tuple[int, ...]]]) -> ParameterSchema:
        """The layout of tensors with these names and shapes, in this order.

        Raises:
            InvalidArgument: PARAMETERS_INVALID, no tensor at all, a name twice, or an empty tensor.
        """
        tensors: list[Tensor] = []
        offset = 0
        for name, shape in shapes:
            tensor = Tensor(name=name, shape=tuple(shape), offset=offset)
            if not name or tensor.count < 1 or any(other.name == name for other in tensors):
                raise InvalidArgument(
                    "PARAMETERS_INVALID", f"the tensor {name!r} of shape {tensor.shape} is empty or there twice"
                )
            tensors.append(tensor)
            offset += tensor.size
        if not tensors:
            raise InvalidArgument("PARAMETERS_INVALID", "the model has no parameters")
        return ParameterSchema(tensors=tuple(tensors))

    @property
    def size(self) -> int:
        """Bytes of the flat buffer."""
        last = self.tensors[-1]
        return last.offset + last.size

    @property
    def count(self) -> int:
        """Elements of the flat buffer."""
        return self.size // FLOAT32.itemsize

    @property
    def digest(self) -> bytes:
        """SHA-256 over `name dtype shape\\n` of each tensor in order, such as `hidden.0.weight float32 64x32`; 32 bytes."""
        lines = (f"{tensor.name} float32 {'x'.join(map(str, tensor.shape))}\n" for tensor in self.tensors)
        return hashlib.sha256("".join(lines).encode()).digest()

    def views(self, flat: Vector) -> dict[str, Vector]:
        """The tensors inside `flat`, by name, sharing its memory."""
        self.check(flat)
        return {tensor.name: _part(flat, tensor).reshape(tensor.shape) for tensor in self.tensors}

    def flatten(self, tensors: Mapping[str, NDArray[np.float32]]) -> Vector:
        """A new flat buffer with copies of `tensors`.

        Raises:
            InvalidArgument: PARAMETERS_INVALID, a tensor is missing or has another shape or dtype than the schema says.
        """
        flat = np.empty(self.count, FLOAT32)
        for tensor in self.tensors:
            given = tensors.get(tensor.name)
            if given is None or given.shape != tensor.shape or given.dtype != FLOAT32:
                found = "is missing" if given is None else f"is {given.dtype} of shape {given.shape}"
                raise InvalidArgument(
                    "PARAMETERS_INVALID", f"the tensor {tensor.name!r} {found}", remedy=f"give float32 of shape {tensor.shape}"
                )
            _part(flat, tensor)[:] = given.reshape(-1)
        return flat

    def check(self, flat: Vector) -> None:
        """Pass if `flat` is a float32 vector of this schema's length.

        Raises:
            InvalidArgument: PARAMETERS_INVALID.
        """
        if flat.dtype != FLOAT32 or flat.shape != (self.count,):
            remedy = f"give float32 of shape ({self.count},)"
            raise InvalidArgument("PARAMETERS_INVALID", f"a buffer is {flat.dtype} of shape {flat.shape}", remedy=remedy)


def _part(flat: Vector, tensor: Tensor) -> Vector:
    start = tensor.offset // FLOAT32.itemsize
    return flat[start : start + tensor.count]
