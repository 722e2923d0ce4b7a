"""What a model must offer to be trained, and how the operator's allow-list leads to one.

Jobs name a model; only the operator decides which Python code that name stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import FailedPrecondition, InvalidArgument, SynapseError
from synapsenet.training.model import TrainableModel
from synapsenet.training.schema import ParameterSchema, Vector

Inputs = NDArray[np.float32]
Targets = NDArray[np.int64]


class Trainable(Protocol):
    """A model with its hyperparameters fixed; it keeps no state between calls."""

    @property
    def schema(self) -> ParameterSchema:
        """The layout of its parameters."""
        ...

    @property
    def inputs(self) -> int:
        """Length of an input vector."""
        ...

    @property
    def classes(self) -> int:
        """Targets are 0 up to below this."""
        ...

    def initial_parameters(self, seed: int) -> Vector:
        """The flat parameters to start from: the same seed gives the same bits."""
        ...

    def loss_and_gradient(self, parameters: Vector, inputs: Inputs, targets: Targets) -> tuple[float, Vector]:
        """Mean loss over the examples and its gradient, a new flat vector.

        Args:
            parameters: flat, float32; not to be written to.
            inputs: float32 (examples, inputs).
            targets: int64 (examples,), from 0 to below `classes`.
        """
        ...

    def predict(self, parameters: Vector, inputs: Inputs) -> NDArray[np.float32]:
        """Logarithms of the class probabilities, float32 (examples, classes)."""
        ...


class Factory(Protocol):
    """What an entry point names: makes a model from a job's arguments; its docstring's first line describes the model."""

    ARGUMENTS: Mapping[str, str]

    def __call__(self, arguments: Mapping[str, Any]) -> Trainable:
        """Raises InvalidArgument MODEL_ARGUMENTS_INVALID naming the argument that is wrong."""
        ...


class AllowList:
    """The models that jobs may name."""

    def __init__(self, models: Mapping[str, str]) -> None:
        """
        Args:
            models: name → `package.module:factory`.
        """
        self._models = dict(models)

    def factory(self, entry_point: str) -> str:
        """`package.module:factory` of a name.

        Raises:
            InvalidArgument: MODEL_NOT_ALLOWED.
        """
        try:
            return self._models[entry_point]
        except KeyError:
            raise InvalidArgument(
                "MODEL_NOT_ALLOWED",
                f"the model {entry_point!r} is not on the allow-list",
                field="spec.model.entry_point",
                remedy=f"take one of {', '.join(sorted(self._models)) or '(none)'}, or ask the operator to list it",
            ) from None

    def make(self, entry_point: str, arguments: Mapping[str, Any]) -> Trainable:
        """The model behind a name.

        Raises:
            InvalidArgument: MODEL_NOT_ALLOWED, or MODEL_ARGUMENTS_INVALID.
            FailedPrecondition: MODEL_UNUSABLE, the operator's entry point leads nowhere.
        """
        return make(self.factory(entry_point), arguments)

    def describe(self) -> list[TrainableModel]:
        """The whole list, by name."""
        found = []
        for name in sorted(self._models):
            factory = _load(self._models[name])
            description = (factory.__doc__ or "").strip().split("\n", 1)[0]
            found.append(
                TrainableModel(entry_point=name, description=description, arguments=dict(getattr(factory, "ARGUMENTS", {})))
            )
        return found


def make(factory: str, arguments: Mapping[str, Any]) -> Trainable:
    """The model that `package.module:factory` makes; errors as `AllowList.make`."""
    try:
        return _load(factory)(arguments)
    except SynapseError:
        raise
    except Exception as error:
        raise FailedPrecondition(
            "MODEL_UNUSABLE",
            "the model's entry point raised an error",
            remedy="see the platform's log, and correct the entry point",
            secret=f"{factory}: {error!r}",
        ) from error


def _load(factory: str) -> Factory:
    module, _, name = factory.partition(":")
    try:
        found: Factory = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FailedPrecondition(
            "MODEL_UNUSABLE",
            "an entry point of the allow-list cannot be imported",
            remedy="correct the operator's allow-list",
            secret=f"{factory}: {error!r}",
        ) from error
    return found
