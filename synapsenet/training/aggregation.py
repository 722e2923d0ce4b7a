"""The mean gradient of a step, to the bit the same whatever the order in which the workers' gradients arrived.

With n_i the examples of worker i, N their sum and g_i its mean gradient, all in ascending order of worker indexes:

    w_i = float32(n_i / N)            the quotient in binary64, rounded once to binary32
    sum = w_0 * g_0
    sum = sum + (w_i * g_i)           for i = 1, 2, …

Products and sums are element-wise binary32, each rounded (no fused multiply-add). One worker alone has w_0 = 1, and its
gradient passes unchanged. Recordings of trajectories replay this; it must not change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synapsenet.training.schema import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """What one worker found on one batch.

    Attributes:
        values: mean gradient over the batch, flat float32.
        examples: size of the batch, 1 or more.
        loss: mean loss over the batch.
    """

    values: Vector
    examples: int
    loss: float


def mean_gradient(gradients: Mapping[int, Gradient]) -> Gradient:
    """The mean over all examples of `gradients`, which are by worker index; the arithmetic is the module's."""
    ordered = [gradients[index] for index in sorted(gradients)]
    examples = sum(gradient.examples for gradient in ordered)
    total = _weighted(ordered[0], examples)
    scratch = np.empty_like(total)
    for gradient in ordered[1:]:
        np.multiply(gradient.values, _weight(gradient, examples), out=scratch)
        np.add(total, scratch, out=total)
    loss = 0.0
    for gradient in ordered:
        loss += gradient.examples * gradient.loss
    return Gradient(values=total, examples=examples, loss=loss / examples)


def finite(values: Vector) -> bool:
    """Whether no element is NaN or infinite and the squared norm fits into binary32."""
    # An overflow is the answer, not an accident.
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(float(np.dot(values, values)))


def _weight(gradient: Gradient, examples: int) -> np.float32:
    return np.float32(gradient.examples / examples)


def _weighted(gradient: Gradient, examples: int) -> Vector:
    return np.multiply(gradient.values, _weight(gradient, examples))
