"""Where a process can be killed while it carries a saga: every commit and every call, generated from the definitions."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from synapsenet.lifecycle.model import Operation, OperationState, StepState
from synapsenet.lifecycle.saga import Saga
from synapsenet.lifecycle.sagas import COORDINATOR

INSIDE = "inside"
WHENS = ("before", "after")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A process dies `when` `what` happens in a saga.

    Attributes:
        fails_at: the step that fails, so that the saga turns back; empty: none does.
        what: `commit` with what it records, or a call with its step: `commit intent load`, `execute load`.
        when: before it, after it, or `inside` a commit, with everything written and nothing committed.
        who: `coordinator`, or `participant`.
    """

    saga: str
    fails_at: str
    what: str
    when: str
    who: str = "coordinator"


NOWHERE = Point(saga="", fails_at="", what="", when="")
"""Of a model that nobody is to die of."""


def points(sagas: Iterable[Saga], *, everywhere: bool) -> Iterator[Point]:
    """Each point once; of the ways back the longest, or, `everywhere`, the one from each step."""
    for saga in sagas:
        whens = (*WHENS, INSIDE) if everywhere else WHENS
        for what in _forward(saga):
            yield from _each(saga, "", what, whens)
        failing = [step.name for step in saga.steps if _can_fail(saga, step.name)]
        for fails_at in failing if everywhere else failing[-1:]:
            for what in _back(saga, fails_at):
                yield from _each(saga, fails_at, what, whens)


def _each(saga: Saga, fails_at: str, what: str, whens: Iterable[str]) -> Iterator[Point]:
    is_commit = what.startswith("commit")
    for when in whens:
        if is_commit or when != INSIDE:
            yield Point(saga=saga.name, fails_at=fails_at, what=what, when=when)
            if not is_commit and not what.startswith("prepare"):  # which writes nothing there
                yield Point(saga=saga.name, fails_at=fails_at, what=what, when=when, who="participant")


def _can_fail(saga: Saga, name: str) -> bool:
    step = next(step for step in saga.steps if step.name == name)
    return step.participant != COORDINATOR or step is saga.steps[-1]


def _forward(saga: Saga) -> Iterator[str]:
    for step in saga.steps:
        if step.compensation:
            yield f"prepare {step.name}"
        yield f"commit intent {step.name}"
        if step.participant != COORDINATOR:
            yield f"execute {step.name}"
    yield "commit end"


def _back(saga: Saga, fails_at: str) -> Iterator[str]:
    names = [step.name for step in saga.steps]
    begun = saga.steps[: names.index(fails_at) + 1]
    if begun[-1].participant != COORDINATOR:
        yield f"execute {fails_at}"
    yield "commit turn"
    for step in reversed(begun):
        if step.compensation:
            yield f"compensate {step.name}"
        yield f"commit undone {step.name}"


def recorded(operation: Operation) -> str:
    """What the commit that gave `operation` recorded, as points name it."""
    if operation.state is OperationState.SUCCEEDED:
        return "commit end"
    if operation.state is OperationState.RUNNING:
        return f"commit intent {next(step.name for step in operation.steps if step.state is StepState.RUNNING)}"
    undone = [step.name for step in operation.steps if step.state is StepState.COMPENSATED]
    return f"commit undone {undone[0]}" if undone else "commit turn"


class Gate:
    """Holds each model at its point, until all are there: then this process is no more.

    Args:
        whats: by model, what it is to reach and when.
    """

    def __init__(self, whats: Mapping[str, Point]) -> None:
        self.set(whats)

    def set(self, whats: Mapping[str, Point], fate: int = signal.SIGKILL) -> None:
        """From now on these points are to be reached; `fate` is SIGKILL, or SIGSTOP after which all go on."""
        self._points = whats
        self._fate = fate
        self._missing = set(whats)
        self._others = asyncio.Event()
        self._over = asyncio.Event()

    async def pass_by(self, model_id: str, what: str, when: str) -> None:
        """Return at once, unless it is the model's point."""
        if not self._is(model_id, what, when):
            return
        self._missing.discard(model_id)
        if not self._missing:
            self._points = {}
            os.kill(os.getpid(), self._fate)
            self._over.set()
        if all(self._points[left].when == INSIDE for left in self._missing):
            self._others.set()
        await self._over.wait()

    def is_inside(self, model_id: str, what: str) -> bool:
        """Whether the transaction that is about to be committed is to be the last thing that this process does."""
        return self._is(model_id, what, INSIDE)

    @property
    def awaits_commits(self) -> bool:
        """Whether any model is to be held before a commit, or die inside one."""
        return any(point.what.startswith("commit") and point.when in ("before", INSIDE) for point in self._points.values())

    async def until_last(self, model_id: str) -> None:
        """For one that is about to die inside a commit: return when all others are at their points."""
        if self._missing != {model_id}:
            await self._others.wait()

    def _is(self, model_id: str, what: str, when: str) -> bool:
        point = self._points.get(model_id)
        return point is not None and (point.what, point.when) == (what, when)


def die() -> None:
    """As a crash: nothing is said, flushed or closed."""
    os.kill(os.getpid(), signal.SIGKILL)
