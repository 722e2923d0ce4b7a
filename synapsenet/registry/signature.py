"""Signatures: which tensors go into a model and which come out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from synapsenet.errors import InvalidArgument

FREE = -1
"""The size of a dimension that each request decides."""


class ElementType(StrEnum):
    """Element types of tensors, with their ONNX meaning."""

    BOOL = "bool"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    STRING = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output.

    Attributes:
        shape: sizes from the outermost dimension, `FREE` where requests decide; None: not even the rank is known.

    Raises:
        InvalidArgument: SIGNATURE_INVALID.
    """

    name: str
    element_type: ElementType
    shape: tuple[int, ...] | None

    def __post_init__(self) -> None:
        if not self.name:
            raise _invalid("a tensor has no name", "name every input and output as the artifact does")
        if self.shape is not None and any(size < FREE for size in self.shape):
            raise _invalid(f"tensor {self.name} has a negative size", "use -1 for a size that each request decides")

    def admits(self, actual: TensorSpec) -> bool:
        """Whether a tensor declared like this may be `actual`; sizes that either leaves open fit."""
        if (self.name, self.element_type) != (actual.name, actual.element_type):
            return False
        if self.shape is None or actual.shape is None:
            return True
        return len(self.shape) == len(actual.shape) and all(
            mine == its or FREE in (mine, its) for mine, its in zip(self.shape, actual.shape, strict=True)
        )

    def __str__(self) -> str:
        shape = "any shape" if self.shape is None else list(self.shape)
        return f"{self.name} {self.element_type} {shape}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What goes into a model and what comes out, in the artifact's order.

    Raises:
        InvalidArgument: SIGNATURE_INVALID, no output, or a name stands twice among the inputs or outputs.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        if not self.outputs:
            raise _invalid("there is no output", "name at least one")
        for tensors in (self.inputs, self.outputs):
            names = [tensor.name for tensor in tensors]
            if len(set(names)) < len(names):
                raise _invalid("a name stands twice", "name every input and every output once")

    def check(self, actual: Signature) -> None:
        """Pass if an artifact with the signature `actual` keeps what this one declares.

        Raises:
            InvalidArgument: ARTIFACT_SIGNATURE_MISMATCH, naming the first tensors that differ.
        """
        for kind, declared, found in (("input", self.inputs, actual.inputs), ("output", self.outputs, actual.outputs)):
            if len(declared) != len(found):
                raise _mismatch(f"{len(declared)} {kind}s are declared, the artifact has {len(found)}")
            for mine, its in zip(declared, found, strict=True):
                if not mine.admits(its):
                    raise _mismatch(f"{kind} {mine} is declared, the artifact has {its}")


def _invalid(what: str, remedy: str) -> InvalidArgument:
    return InvalidArgument("SIGNATURE_INVALID", f"signature: {what}", field="signature", remedy=remedy)


def _mismatch(what: str) -> InvalidArgument:
    return InvalidArgument(
        "ARTIFACT_SIGNATURE_MISMATCH", what, field="data", remedy="upload the artifact of this version, or declare what it has"
    )
