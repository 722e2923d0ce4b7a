"""How an aggregated gradient changes the parameters.

SGD with momentum (Polyak 1964, in the form of Sutskever et al. 2013 that keeps the rate out of the velocity), element-wise
binary32, each product and each sum rounded, with rate = float32(learning rate) and mu = float32(momentum):

    momentum 0:      p = p - (rate * g)
    momentum above:  v = (mu * v) + g        v is 0 at the start
                     p = p - (rate * v)

Recordings of trajectories replay this; it must not change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from synapsenet.errors import NotYetAvailable
from synapsenet.training.schema import FLOAT32, Vector
from synapsenet.training.spec import Optimizer, OptimizerKind


class Updater(ABC):
    """One job's update rule with what it remembers between updates."""

    @abstractmethod
    def updated(self, parameters: Vector, gradient: Vector, rate: float) -> Vector:
        """New parameters; the old ones stay as they are, since readers may still be sending them."""


class Sgd(Updater):
    """The rule in the module's docstring."""

    def __init__(self, *, momentum: float, count: int) -> None:
        self._momentum = np.float32(momentum)
        self._velocity: Vector | None = np.zeros(count, FLOAT32) if momentum else None

    def updated(self, parameters: Vector, gradient: Vector, rate: float) -> Vector:
        direction = gradient
        if self._velocity is not None:
            np.multiply(self._velocity, self._momentum, out=self._velocity)
            np.add(self._velocity, gradient, out=self._velocity)
            direction = self._velocity
        change = np.multiply(direction, np.float32(rate))
        return np.subtract(parameters, change, out=change)


def updater(optimizer: Optimizer, *, count: int) -> Updater:
    """The rule that a job asks for, for `count` parameters.

    Raises:
        NotYetAvailable: a rule that this release does not have.
    """
    if optimizer.kind is not OptimizerKind.SGD:
        raise NotYetAvailable("NOT_YET_AVAILABLE", field="spec.optimizer.kind", remedy="take OPTIMIZER_KIND_SGD")
    return Sgd(momentum=optimizer.momentum, count=count)
