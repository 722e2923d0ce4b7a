"""A multi-layer perceptron with ReLU and softmax cross-entropy, in float32 throughout.

Gradients by back-propagation (Rumelhart, Hinton and Williams 1986); initial weights uniform with variance 2 / fan-in
(He et al. 2015). The random bits come from PCG64's raw stream, which NumPy keeps stable for ever, unlike its distributions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import InvalidArgument
from synapsenet.training.schema import FLOAT32, ParameterSchema, Vector
from synapsenet.training.trainable import Inputs, Targets, Trainable


class Mlp:
    """Layers of sizes `inputs`, `hidden`…, `classes`; each has `layer.N.weight` (in, out) and `layer.N.bias` (out,)."""

    def __init__(self, *, inputs: int, hidden: tuple[int, ...], classes: int) -> None:
        self.inputs = inputs
        self.classes = classes
        self._sizes = (inputs, *hidden, classes)
        self.schema = ParameterSchema.of(
            [
                tensor
                for layer, (rows, columns) in enumerate(pairwise(self._sizes))
                for tensor in ((f"layer.{layer}.weight", (rows, columns)), (f"layer.{layer}.bias", (columns,)))
            ]
        )

    def initial_parameters(self, seed: int) -> Vector:
        bits = np.random.PCG64(np.random.SeedSequence(seed))
        flat = np.zeros(self.schema.count, FLOAT32)
        tensors = self.schema.views(flat)
        for layer, (rows, columns) in enumerate(pairwise(self._sizes)):
            limit = math.sqrt(6 / rows)
            uniform = (bits.random_raw(rows * columns) >> np.uint64(11)).astype(np.float64) * 2.0**-53
            tensors[f"layer.{layer}.weight"][:] = ((2 * uniform - 1) * limit).astype(FLOAT32).reshape(rows, columns)
        return flat

    def loss_and_gradient(self, parameters: Vector, inputs: Inputs, targets: Targets) -> tuple[float, Vector]:
        weights, biases = self._layers(parameters)
        activations = _forward(weights, biases, inputs)
        log_probabilities = _log_softmax(activations[-1])
        rows = np.arange(len(targets))
        loss = -float(np.mean(log_probabilities[rows, targets], dtype=np.float64))
        error = np.exp(log_probabilities)
        error[rows, targets] -= np.float32(1)
        error /= np.float32(len(targets))
        gradient = np.empty(self.schema.count, FLOAT32)
        weight_gradients, bias_gradients = self._layers(gradient)
        for layer in reversed(range(len(weights))):
            np.matmul(activations[layer].T, error, out=weight_gradients[layer])
            np.sum(error, axis=0, out=bias_gradients[layer])
            if layer:
                error = (error @ weights[layer].T) * (activations[layer] > 0)
        return loss, gradient

    def predict(self, parameters: Vector, inputs: Inputs) -> NDArray[np.float32]:
        weights, biases = self._layers(parameters)
        return _log_softmax(_forward(weights, biases, inputs)[-1])

    def _layers(self, flat: Vector) -> tuple[list[Vector], list[Vector]]:
        tensors = self.schema.views(flat)
        layers = range(len(self._sizes) - 1)
        return [tensors[f"layer.{layer}.weight"] for layer in layers], [tensors[f"layer.{layer}.bias"] for layer in layers]


def build(arguments: Mapping[str, Any]) -> Trainable:
    """Multi-layer perceptron with ReLU between the layers and softmax cross-entropy, for classification."""
    unknown = sorted(set(arguments) - set(ARGUMENTS))
    if unknown:
        raise _refused(unknown[0], f"leave it out; known are {', '.join(ARGUMENTS)}")
    hidden = arguments.get("hidden", [])
    if not isinstance(hidden, list | tuple):
        raise _refused("hidden", "give a list of sizes, such as [32]")
    return Mlp(
        inputs=_size(arguments, "inputs"),
        hidden=tuple(_size({"hidden": size}, "hidden") for size in hidden),
        classes=_size(arguments, "classes"),
    )


ARGUMENTS = {
    "inputs": "length of the input vector, 1 or more",
    "hidden": "list of the sizes of the hidden layers; none makes a linear model",
    "classes": "number of classes, 2 or more",
}
build.ARGUMENTS = ARGUMENTS  # type: ignore[attr-defined]  # a function carries its own description, as Factory asks


def _size(arguments: Mapping[str, Any], name: str) -> int:
    value = arguments.get(name)
    # JSON numbers arrive as floats.
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or not 1 <= value <= 1 << 20:
        raise _refused(name, "give a whole number from 1 to 1048576")
    return int(value)


def _refused(argument: str, remedy: str) -> InvalidArgument:
    return InvalidArgument(
        "MODEL_ARGUMENTS_INVALID",
        f"the model argument {argument!r} is wrong or missing",
        field=f"spec.model.arguments.{argument}",
        remedy=remedy,
    )


def _forward(weights: list[Vector], biases: list[Vector], inputs: Inputs) -> list[NDArray[np.float32]]:
    """The inputs, then what each layer gives; the last is without ReLU."""
    activations: list[NDArray[np.float32]] = [inputs]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        given = activations[-1] @ weight + bias
        activations.append(np.maximum(given, 0) if layer < len(weights) - 1 else given)
    return activations


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
