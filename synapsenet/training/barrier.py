"""One step of a sync job: which gradients are in, whose are missing, and until when they are waited for."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from synapsenet.training.aggregation import Gradient
from synapsenet.training.refusal import Action, Code, Refused


class Barrier:
    """Gathers one gradient of each of `workers` workers; time is the caller's, in monotonic seconds."""

    def __init__(self, *, workers: int, timeout: float) -> None:
        self._workers = workers
        self._timeout = timeout
        self._gradients: dict[int, Gradient] = {}
        self._opened: float | None = None

    def add(self, worker: int, gradient: Gradient, *, at: float) -> None:
        """Take a worker's gradient.

        Raises:
            Refused: DUPLICATE, this step has one of this worker already.
        """
        if worker in self._gradients:
            raise Refused(Code.DUPLICATE, Action.STOP, "this step already has a gradient of this worker")
        self._gradients[worker] = gradient
        if self._opened is None:
            self._opened = at

    @property
    def complete(self) -> bool:
        return len(self._gradients) == self._workers

    @property
    def missing(self) -> AbstractSet[int]:
        """The workers that are waited for."""
        return frozenset(range(self._workers)) - self._gradients.keys()

    @property
    def deadline(self) -> float | None:
        """Until when the missing ones are waited for; None before the first gradient."""
        return None if self._opened is None else self._opened + self._timeout

    def clear(self) -> dict[int, Gradient]:
        """The gradients of the step by worker; the next step begins."""
        gradients, self._gradients, self._opened = self._gradients, {}, None
        return gradients
