"""The trajectories that are recorded: a real model on real data, and gradients made to be awkward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from synapsenet.training.batching import batches, share
from synapsenet.training.models.mlp import Mlp
from synapsenet.training.schema import FLOAT32, Vector
from tests.golden.trajectories import Course, Step, replay_in_domain

_ELEMENTS = 67  # no multiple of a vector register
_STEPS = 6


def courses() -> Iterator[tuple[str, Course]]:
    """Each with the name of its files."""
    yield "digits", _digits()
    yield "uneven", _made("four workers with 1, 3, 7 and 64 examples", examples=[1, 3, 7, 64], momentum=0.0)
    yield "momentum", _made("momentum, three workers", examples=[5, 5, 6], momentum=0.9)
    yield "alone", _made("one worker, whose gradient passes unchanged", examples=[13], momentum=0.5)
    yield "many", _made("sixteen workers", examples=list(range(1, 17)), momentum=0.25)
    yield "edges", _edges()


def _order(workers: int, step: int) -> list[int]:
    """Another order of arrival at each step."""
    rotated = [(worker + step) % workers for worker in range(workers)]
    return rotated if step % 2 else rotated[::-1]


def _made(says: str, *, examples: Sequence[int], momentum: float) -> Course:
    """Numbers of very different size and both signs, from PCG64's raw stream, which NumPy keeps for ever."""
    workers = len(examples)
    bits = np.random.PCG64(np.random.SeedSequence(workers))
    uniform = (bits.random_raw(_ELEMENTS * (1 + _STEPS * workers)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    numbers = ((2 * uniform - 1) * 10.0 ** (np.arange(len(uniform)) % 7 - 3)).astype(FLOAT32)
    steps = [
        Step(order=_order(workers, step), examples=examples, losses=[(step + 1) / (worker + 3) for worker in range(workers)])
        for step in range(_STEPS)
    ]
    return Course(
        says=says,
        learning_rate=0.1,
        momentum=momentum,
        steps=steps,
        initial=numbers[:_ELEMENTS],
        gradients=numbers[_ELEMENTS:].reshape(_STEPS, workers, _ELEMENTS),
    )


def _edges() -> Course:
    """Both zeros, subnormal numbers, the ends of what a sound gradient may hold, and sums that depend on their order."""
    least, subnormal, smallest, largest = 1.4e-45, 1e-41, 1.1754944e-38, 2e18
    row = [0.0, -0.0, least, -subnormal, subnormal, smallest, -smallest, largest, -largest, 1 / 3, 1 + 2.0**-23, 2.0**24 + 2]
    cancelling = np.array([2.0**24, 1.0, -(2.0**24)])
    scales = np.array([[1.0, -0.5, 3.0], [0.25, 2.0, -1.0], [1 / 3, 1 / 7, -1.0], [-1.0, -1.0, -1.0]])
    gradients = np.array(
        [
            [[*(scale * np.array(row)), *np.roll(cancelling, step + worker)] for worker, scale in enumerate(by_worker)]
            for step, by_worker in enumerate(scales)
        ]
    )
    steps = [Step(order=_order(3, step), examples=[3, 3, 1], losses=[1e-300, 0.1, 3.0]) for step in range(len(scales))]
    return Course(
        says="zeros, subnormal and huge numbers, and sums that depend on their order",
        learning_rate=1 / 3,
        momentum=0.9,
        steps=steps,
        initial=np.array([*(0.25 * np.array(row)), *cancelling / 2], FLOAT32),
        gradients=gradients.astype(FLOAT32),
    )


def _digits() -> Course:
    """Four workers train a small perceptron on scikit-learn's digits, each on its share."""
    pixels, labels = load_digits(return_X_y=True)
    inputs = (pixels / 16).astype(FLOAT32)
    model = Mlp(inputs=64, hidden=(8,), classes=10)
    orders = [(share(len(labels), worker=worker, workers=4), worker) for worker in range(4)]
    draws = [(own, batches(len(own), size=16, seed=1, worker=worker)) for own, worker in orders]
    course = Course(
        says="a perceptron of 610 parameters on scikit-learn's digits",
        learning_rate=0.5,
        momentum=0.5,
        steps=[],
        initial=model.initial_parameters(1),
        gradients=np.empty((0, 4, model.schema.count), FLOAT32),
    )
    parameters: Vector = course.initial
    for step in range(_STEPS):
        found: list[tuple[float, NDArray[np.float32]]] = []
        for own, draw in draws:
            rows = own[next(draw)]
            found.append(model.loss_and_gradient(parameters, inputs[rows], labels[rows]))
        brought = Step(order=_order(4, step), examples=[16] * 4, losses=[loss for loss, _ in found])
        course = Course(
            says=course.says,
            learning_rate=course.learning_rate,
            momentum=course.momentum,
            steps=[*course.steps, brought],
            initial=course.initial,
            gradients=np.concatenate([course.gradients, np.stack([gradient for _, gradient in found])[np.newaxis]]),
        )
        parameters = replay_in_domain(course)[0][-1]
    return course
