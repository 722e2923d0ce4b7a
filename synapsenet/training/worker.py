"""What a worker of a sync job does: gradients on its share of the examples, until the last version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from synapsenet.errors import FailedPrecondition
from synapsenet.training.aggregation import Gradient
from synapsenet.training.batching import Rows
from synapsenet.training.parameter_server import Snapshot
from synapsenet.training.schema import Vector
from synapsenet.training.trainable import Inputs, Targets, Trainable


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Inputs, float32 (examples, inputs), and targets, int64 (examples,)."""

    inputs: Inputs
    targets: Targets

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: Rows) -> Examples:
        return Examples(inputs=self.inputs[rows], targets=self.targets[rows])

    def check(self, model: Trainable) -> None:
        """Pass if `model` can be trained on these.

        Raises:
            FailedPrecondition: DATA_UNUSABLE, inputs of another length or not finite, or a target that is no class.
        """
        problem = ""
        if self.inputs.ndim != 2 or self.inputs.shape[1] != model.inputs:
            problem = f"inputs have length {self.inputs.shape[-1]}, the model takes {model.inputs}"
        elif not np.isfinite(self.inputs).all():
            problem = "an input is missing or not finite"
        elif len(self) and not (self.targets.min() >= 0 and self.targets.max() < model.classes):
            found = f"targets reach from {self.targets.min()} to {self.targets.max()}"
            problem = f"{found}, the model has classes 0 to {model.classes - 1}"
        if problem:
            raise FailedPrecondition("DATA_UNUSABLE", problem, remedy="correct the data or the model's arguments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A model on evaluation data: mean loss in binary64 and the share of right answers."""

    loss: float
    accuracy: float
    examples: int


class ParameterStream(Protocol):
    """The worker's side of its conversation with the parameter server."""

    def pull(self) -> Snapshot:
        """The current parameters."""
        ...

    def push(self, gradient: Gradient, *, base_version: int) -> Snapshot:
        """Push a gradient; the parameters of the version that it led to."""
        ...


def train(
    model: Trainable,
    examples: Examples,
    batches: Iterator[Rows],
    stream: ParameterStream,
    *,
    last_version: int,
    each: Callable[[Snapshot], None],
) -> Snapshot:
    """Push gradients until `last_version`, calling `each` with every new version; returns the last one."""
    current = stream.pull()
    while current.version < last_version:
        batch = examples.take(next(batches))
        loss, values = model.loss_and_gradient(current.parameters, batch.inputs, batch.targets)
        gradient = Gradient(values=values, examples=len(batch), loss=loss)
        current = stream.push(gradient, base_version=current.version)
        each(current)
    return current


def measure(model: Trainable, parameters: Vector, examples: Examples, *, at_once: int = 4096) -> Measured:
    """Mean cross-entropy and accuracy of `model` over all of `examples`, `at_once` at a time."""
    loss, right = 0.0, 0
    for start in range(0, len(examples), at_once):
        part = examples.take(np.arange(start, min(start + at_once, len(examples))))
        log_probabilities = model.predict(parameters, part.inputs)
        loss -= float(log_probabilities[np.arange(len(part)), part.targets].sum(dtype=np.float64))
        right += int((log_probabilities.argmax(axis=1) == part.targets).sum())
    return Measured(loss=loss / len(examples), accuracy=right / len(examples), examples=len(examples))
