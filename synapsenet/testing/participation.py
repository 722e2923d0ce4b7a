"""What every store of step notes promises, and a store in memory for whoever needs none that lasts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest

from synapsenet.platform.events import EventLog
from synapsenet.platform.participation import Direction, Json, ParticipantWork, StepKey, StepNote, StepNotes
from synapsenet.platform.work import Request, WorkFactory
from synapsenet.testing.clock import NOON

T = TypeVar("T")

MODEL = "mdl-digits"
KEY = StepKey(operation_id="op-1", step="load", direction=Direction.EXECUTE)
OTHERS = (
    StepKey(operation_id="op-2", step="load", direction=Direction.EXECUTE),
    StepKey(operation_id="op-1", step="unload", direction=Direction.EXECUTE),
    StepKey(operation_id="op-1", step="load", direction=Direction.COMPENSATE),
)
RESULT = {"traffic": {"3": 0.25, "2": 0.75}, "names": ["a", "ü\0"], "none": None, "flag": True, "count": 1 << 40}

Factory = WorkFactory[ParticipantWork]


class StepNotesContract:
    """Run over every adapter by a class that provides the fixture `work`."""

    async def test_a_fence_only_grows_and_the_same_one_holds_again(self, work: Factory) -> None:
        for fence, held, highest in ((5, True, 5), (5, True, 5), (4, False, 5), ((3 << 40) + 1, True, (3 << 40) + 1)):
            assert await work.run(lambda tx, fence=fence: tx.step_notes.claim(MODEL, fence)) is held  # type: ignore[misc]  # mypy infers no default argument
            assert await work.read(lambda tx: tx.step_notes.fence(MODEL)) == highest

    async def test_each_model_has_a_fence_of_its_own(self, work: Factory) -> None:
        await work.run(lambda tx: tx.step_notes.claim(MODEL, 5))
        assert await work.run(lambda tx: tx.step_notes.claim("mdl-other", 1))
        assert await work.read(lambda tx: tx.step_notes.fence("mdl-nobody")) == 0

    async def test_what_is_rolled_back_is_not_noted(self, work: Factory) -> None:
        def fail(tx: ParticipantWork) -> None:
            tx.step_notes.claim(MODEL, 9)
            tx.step_notes.begin(KEY, NOON)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await work.run(fail)
        assert await work.read(lambda tx: (tx.step_notes.fence(MODEL), tx.step_notes.find(KEY))) == (0, None)

    async def test_a_step_is_noted_when_it_begins_and_has_its_result_when_it_ends(self, work: Factory) -> None:
        assert await work.read(lambda tx: tx.step_notes.find(KEY)) is None
        assert await work.run(lambda tx: tx.step_notes.begin(KEY, NOON))
        assert not await work.run(lambda tx: tx.step_notes.begin(KEY, NOON))
        assert await work.read(lambda tx: tx.step_notes.find(KEY)) == StepNote(result=None)
        assert await work.run(lambda tx: tx.step_notes.end(KEY, RESULT, NOON))
        assert await work.read(lambda tx: tx.step_notes.find(KEY)) == StepNote(result=RESULT)

    async def test_the_first_result_stays(self, work: Factory) -> None:
        assert await work.run(lambda tx: tx.step_notes.end(KEY, {}, NOON))
        assert not await work.run(lambda tx: tx.step_notes.end(KEY, RESULT, NOON))
        assert not await work.run(lambda tx: tx.step_notes.begin(KEY, NOON))
        assert await work.read(lambda tx: tx.step_notes.find(KEY)) == StepNote(result={})

    async def test_operations_steps_and_directions_are_told_apart(self, work: Factory) -> None:
        await work.run(lambda tx: tx.step_notes.end(KEY, RESULT, NOON))
        assert await work.read(lambda tx: [tx.step_notes.find(other) for other in OTHERS]) == [None] * len(OTHERS)

    async def test_the_oldest_notes_are_forgotten_first_and_fences_never(self, work: Factory) -> None:
        def commit(tx: ParticipantWork) -> None:
            tx.step_notes.claim(MODEL, 7)
            for age, key in enumerate((KEY, *OTHERS)):
                tx.step_notes.end(key, {}, NOON - timedelta(days=age))

        await work.run(commit)
        assert await work.run(lambda tx: tx.step_notes.forget(before=NOON, limit=2)) == 2
        kept = await work.read(lambda tx: [tx.step_notes.find(key) is not None for key in (KEY, *OTHERS)])
        assert kept == [True, True, False, False]
        assert await work.run(lambda tx: tx.step_notes.forget(before=NOON, limit=2)) == 1
        assert await work.run(lambda tx: tx.step_notes.forget(before=NOON, limit=2)) == 0
        assert await work.read(lambda tx: tx.step_notes.fence(MODEL)) == 7


@dataclass(slots=True)
class _Kept:
    fences: dict[str, int] = field(default_factory=dict)
    steps: dict[StepKey, tuple[StepNote, datetime]] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    happened: list[tuple[str, Any]] = field(default_factory=list)


class MemoryNotes(StepNotes):
    """Notes in one unit of work."""

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept

    def claim(self, model_id: str, fence: int) -> bool:
        if fence < self.fence(model_id):
            return False
        self._kept.fences[model_id] = fence
        return True

    def fence(self, model_id: str) -> int:
        return self._kept.fences.get(model_id, 0)

    def find(self, key: StepKey) -> StepNote | None:
        return self._kept.steps[key][0] if key in self._kept.steps else None

    def begin(self, key: StepKey, at: datetime) -> bool:
        if key in self._kept.steps:
            return False
        self._kept.steps[key] = StepNote(result=None), at
        return True

    def end(self, key: StepKey, result: Json, at: datetime) -> bool:
        note = self.find(key)
        if note is not None and note.result is not None:
            return False
        self._kept.steps[key] = StepNote(result=result), at
        return True

    def forget(self, *, before: datetime, limit: int) -> int:
        old = sorted((at, key) for key, (_, at) in self._kept.steps.items() if at < before)
        for _, key in old[:limit]:
            del self._kept.steps[key]
        return len(old[:limit])


class MemoryEvents(EventLog):
    """Events in one unit of work."""

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept

    def append(self, aggregate: str, record: Any) -> int:
        self._kept.happened.append((aggregate, record))
        return sum(one == aggregate for one, _ in self._kept.happened)


class MemoryUnit(ParticipantWork):
    """One transaction over what is kept in memory."""

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept
        self.step_notes = MemoryNotes(kept)
        self.events = MemoryEvents(kept)

    def earlier(self, request: Request) -> bytes | None:
        return self._kept.answers.get(request.id)

    def remember(self, request: Request, answer: bytes) -> None:
        self._kept.answers[request.id] = answer


class MemoryWork:
    """A `WorkFactory` of an area that takes part in sagas and keeps nothing beside its notes."""

    def __init__(self) -> None:
        self._kept = _Kept()

    async def run(self, commit: Callable[[MemoryUnit], T]) -> T:
        changed = copy.deepcopy(self._kept)
        result = commit(MemoryUnit(changed))
        self._kept = changed
        return result

    async def read(self, query: Callable[[MemoryUnit], T]) -> T:
        return query(MemoryUnit(copy.deepcopy(self._kept)))
