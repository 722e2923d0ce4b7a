"""Operations on scripted models that have all begun, though the machine may be too busy for some at first."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.chaos.lifecycle.lives import Life
from tests.chaos.lifecycle.points import NOWHERE

BEGUN_S = 30.0
PAUSE_S = 0.2


def begin_all(coordinator: Life, models: Iterable[str]) -> list[str]:
    """Begin one on each of `models`, and ask again for those that were refused; the models."""
    left = begun = list(models)
    until = time.monotonic() + BEGUN_S
    while left:
        answers = coordinator.ask("begin", dict.fromkeys(left, NOWHERE))
        left = [of for of, answered in zip(left, answers, strict=True) if answered != f"op-{of}"]
        if left:
            assert time.monotonic() < until, answers
            time.sleep(PAUSE_S)
    return begun
