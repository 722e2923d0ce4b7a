"""An operation that is watched: read once, and from then on as its events tell it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from synapsenet.lifecycle.events import OperationChanged, StepChanged, aggregate
from synapsenet.lifecycle.model import Operation, OperationState, StepState
from synapsenet.lifecycle.operations import OperationDesk
from synapsenet.lifecycle.table import MACHINE
from synapsenet.platform.events import Event, EventFeed
from synapsenet.platform.records import encode
from synapsenet.testing.clock import NOON, FakeClock
from synapsenet.testing.lifecycle import MODEL, operation

T = TypeVar("T")


class Log(EventFeed):
    """What was told, in order; it ends where a real one would wait."""

    def __init__(self, *told: object) -> None:
        self.events = [
            Event(
                id=f"event-{number}",
                aggregate=aggregate(MODEL),
                sequence=number,
                position=number,
                type=type(one).__name__,
                payload=encode(one),
                occurred_at=NOON,
            )
            for number, one in enumerate(told, start=1)
        ]

    async def read(self, *, after: int, limit: int, aggregate: str = "") -> Sequence[Event]:
        return self.events[after : after + limit]

    async def newest(self) -> int:
        return 0

    async def watch(self, *, after: int, aggregate: str = "") -> AsyncIterator[Event]:
        for one in self.events:
            yield one


class Records:
    """Records that have one operation, and count how often they are asked."""

    def __init__(self, kept: Operation) -> None:
        self.operations = self
        self.reads = 0
        self._kept = kept

    def find(self, operation_id: str) -> Operation | None:
        return self._kept if operation_id == self._kept.id else None

    async def read(self, query: Callable[[Any], T]) -> T:
        self.reads += 1
        return query(self)

    async def run(self, commit: Callable[[Any], T]) -> T:
        raise AssertionError("whoever watches writes nothing")


async def watched(kept: Operation, *told: object) -> tuple[list[Operation], int]:
    """What a watcher sees who finds `kept`, and how often the records were read."""
    records = Records(kept)
    nobody = cast(Any, None)
    desk = OperationDesk(
        work=cast(Any, records), feed=Log(*told), machine=MACHINE, projector=nobody, runner=nobody, clock=FakeClock()
    )
    async with asyncio.timeout(5):
        return [one async for one in desk.watch(kept.id)], records.reads


def stepped(revision: int, of: Operation, place: int, state: StepState, *, who: str = "", more: bool = False) -> StepChanged:
    step = replace(of.steps[place], state=state, result={"n": 1})
    return StepChanged(operation_id=who or of.id, version=1, step=step, revision=revision, more=more)


BEGUN = replace(operation(), revision=3).with_step(0, state=StepState.RUNNING)


async def test_each_change_is_seen_whole_and_the_records_are_read_once() -> None:
    done = BEGUN.with_step(0, state=StepState.DONE, result={"n": 1})
    end = replace(done, state=OperationState.SUCCEEDED, revision=5, ended_at=NOON)
    seen, reads = await watched(
        BEGUN,
        stepped(4, BEGUN, 0, StepState.DONE, more=True),
        stepped(4, BEGUN, 1, StepState.RUNNING),
        stepped(5, BEGUN, 1, StepState.DONE, more=True),
        OperationChanged(operation=end),
        OperationChanged(operation=replace(end, revision=6)),  # nobody waits for what comes after an end
    )
    assert reads == 1
    assert [[step.state for step in one.steps[:2]] for one in seen[:2]] == [
        [StepState.RUNNING, StepState.PENDING],
        [StepState.DONE, StepState.RUNNING],
    ]
    assert [one.revision for one in seen] == [3, 4, 5]
    assert seen[1].results == {"n": 1}
    assert seen[-1] == end


async def test_events_that_were_on_their_way_while_it_was_read_bring_nothing_back() -> None:
    further = BEGUN.with_step(0, state=StepState.DONE)
    seen, _ = await watched(
        further,
        OperationChanged(operation=replace(BEGUN, revision=2)),
        stepped(3, BEGUN, 0, StepState.RUNNING),
        stepped(0, BEGUN, 0, StepState.RUNNING),  # by a release that did not say when
        stepped(4, BEGUN, 1, StepState.RUNNING),
    )
    assert [one.steps[0].state for one in seen] == [StepState.DONE, StepState.DONE]
    assert seen[-1].steps[1].state is StepState.RUNNING


async def test_other_operations_of_the_model_are_not_seen() -> None:
    other = replace(operation("op-2"), revision=9)
    seen, _ = await watched(BEGUN, stepped(8, BEGUN, 0, StepState.DONE, who="op-2"), OperationChanged(operation=other))
    assert seen == [BEGUN]


async def test_the_steps_of_one_that_waited_come_with_its_beginning() -> None:
    waiting = replace(operation(state=OperationState.WAITING), steps=(), revision=1)
    begun = replace(BEGUN, revision=2)
    seen, reads = await watched(waiting, stepped(2, begun, 0, StepState.RUNNING, more=True), OperationChanged(operation=begun))
    assert seen == [waiting, begun]
    assert reads == 1
