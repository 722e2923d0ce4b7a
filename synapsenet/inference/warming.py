"""Warming up: a first run of a model that nobody waits for, and whether what it gives is what the model promises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synapsenet.errors import FailedPrecondition
from synapsenet.inference.model import ElementType, Signature, TensorSpec
from synapsenet.inference.tensors import Array, numpy_type


def zeros(signature: Signature) -> list[Array]:
    """Zeros, or empty texts, for every input of `signature` in its order; extents that vary are 1."""
    return [_zeros(spec) for spec in signature.inputs]


def check_promise(signature: Signature, outputs: Sequence[Array]) -> None:
    """Pass if `outputs` have the number, types and shapes that `signature` promises.

    Raises:
        FailedPrecondition: PROMISE_BROKEN, naming the output.
    """
    if len(outputs) != len(signature.outputs):
        raise _broken(f"it gave {len(outputs)} outputs instead of {len(signature.outputs)}")
    for spec, output in zip(signature.outputs, outputs, strict=True):
        if output.dtype != numpy_type(spec.element_type):
            raise _broken(f"output {spec.name!r} is of {output.dtype} instead of {spec.element_type.value}")
        fits = len(spec.shape) == output.ndim and all(
            promised in (-1, extent) for promised, extent in zip(spec.shape, output.shape, strict=True)
        )
        if not fits:
            raise _broken(f"output {spec.name!r} has shape {list(output.shape)} instead of {list(spec.shape)}")


def _zeros(spec: TensorSpec) -> Array:
    shape = tuple(1 if extent < 0 else extent for extent in spec.shape)
    if spec.element_type is ElementType.STRING:
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, numpy_type(spec.element_type))


def _broken(how: str) -> FailedPrecondition:
    return FailedPrecondition(
        "PROMISE_BROKEN",
        f"the model does not give what its signature promises: {how}",
        remedy="export it anew and upload it as a new version",
    )
