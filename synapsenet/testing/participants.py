"""What every area that takes part in sagas promises, whatever its records are kept in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from synapsenet.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    SynapseError,
    Unavailable,
    Unimplemented,
)
from synapsenet.platform.participant import Outcome, Participant, ParticipationOptions
from synapsenet.platform.participation import Direction, Json, ParticipantWork, StepCall, StepKey, Turn
from synapsenet.platform.work import Request, WorkFactory
from synapsenet.testing.clock import FakeClock

T = TypeVar("T")

MODEL = "mdl-digits"
DEADLINE = 10.0
OPTIONS = ParticipationOptions(steps=2, longest_step_s=5.0, notes_s=3_600.0)

Factory = WorkFactory[ParticipantWork]


def call(step: str = "paint", operation: str = "op-1") -> StepCall:
    return StepCall(operation_id=operation, step=step, saga="decorate", saga_version=1, model_id=MODEL, version=3)


class Paint:
    """A step whose effect is a number in the area's records; it counts its attempts and waits where a test wants it to.

    Attributes:
        gate: open unless a test closes it; the action stops there before its last commit.
        at_gate: set once an action has come there.
        executed, undone: attempts that were begun.
        failure: raised instead of the last commit, while there is one.
    """

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_gate = asyncio.Event()
        self.executed = 0
        self.undone = 0
        self.failure: SynapseError | None = None

    async def prepare(self, call: StepCall) -> Json:
        return {"colour": "white"}

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[ParticipantWork], Json]:
        self.executed += 1
        mine = self.executed
        self.at_gate.set()
        await self.gate.wait()

        def last(tx: ParticipantWork) -> Json:
            write(tx, coats(tx) + 1)
            if self.failure is not None:
                raise self.failure
            return {"attempt": mine}

        return last

    async def compensate(self, call: StepCall, compensation_input: Json, turn: Turn) -> Callable[[ParticipantWork], None]:
        self.undone += 1
        await self.gate.wait()

        def last(tx: ParticipantWork) -> None:
            write(tx, 0)
            if self.failure is not None:
                raise self.failure

        return last


def coats(tx: ParticipantWork) -> int:
    """The effect: how many coats of paint there are."""
    return len([number for number in range(1, 10) if tx.earlier(Request(f"coat-{number}")) == b"wet"])


def write(tx: ParticipantWork, number: int) -> None:
    """Request ids stand in for records: what is remembered is remembered in the transaction."""
    if number:
        tx.remember(Request(f"coat-{number}"), b"wet")


class ParticipantContract:
    """Run over every kind of records by a class that provides the fixture `work`."""

    @pytest.fixture
    def step(self) -> Paint:
        return Paint()

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def here(self, work: Factory, step: Paint, clock: FakeClock) -> Participant[ParticipantWork]:
        return participant(work, step, clock)

    @pytest.fixture
    def there(self, work: Factory, clock: FakeClock) -> Participant[ParticipantWork]:
        """Another process of the same area."""
        return participant(work, Paint(), clock)

    async def test_a_repetition_gives_the_first_result_and_has_no_second_effect(
        self, work: Factory, here: Participant[ParticipantWork], there: Participant[ParticipantWork], step: Paint
    ) -> None:
        assert await here.execute(call(), fence=1) == Outcome(result={"attempt": 1}, repeated=False)
        for again in (here, there):
            assert await again.execute(call(), fence=1) == Outcome(result={"attempt": 1}, repeated=True)
        assert (step.executed, await work.read(coats)) == (1, 1)

    async def test_a_failure_leaves_neither_effect_nor_outcome_and_the_next_attempt_begins_anew(
        self, work: Factory, here: Participant[ParticipantWork], step: Paint
    ) -> None:
        step.failure = Unavailable("OUT_OF_PAINT")
        with pytest.raises(Unavailable):
            await here.execute(call(), fence=1)
        assert await work.read(coats) == 0
        step.failure = None
        assert await here.execute(call(), fence=1) == Outcome(result={"attempt": 2}, repeated=False)
        assert await work.read(coats) == 1

    async def test_a_lower_fence_is_refused_whatever_it_wants_and_both_are_named(
        self, here: Participant[ParticipantWork], there: Participant[ParticipantWork], step: Paint
    ) -> None:
        await here.prepare(call(), fence=7)
        wants: list[Callable[[], Awaitable[object]]] = [
            lambda: there.prepare(call(), fence=6),
            lambda: there.execute(call(), fence=6),
            lambda: there.compensate(call(), {}, fence=6),
        ]
        for want in wants:
            with pytest.raises(FailedPrecondition) as refusal:
                await want()
            assert refusal.value.reason == "FENCED"
            assert refusal.value.metadata == {"model_id": MODEL, "held": "7", "given": "6"}
        assert (step.executed, step.undone) == (0, 0)

    async def test_a_lower_fence_does_not_even_hear_of_what_was_done(
        self, here: Participant[ParticipantWork], there: Participant[ParticipantWork]
    ) -> None:
        await here.execute(call(), fence=7)
        for again in (here, there):
            with pytest.raises(FailedPrecondition, match="held with fence 7"):
                await again.execute(call(), fence=6)

    async def test_many_who_ask_at_once_get_one_attempt(
        self, work: Factory, here: Participant[ParticipantWork], step: Paint
    ) -> None:
        step.gate.clear()
        asking = [asyncio.create_task(here.execute(call(), fence=1)) for _ in range(20)]
        await within(step.at_gate.wait())
        step.gate.set()
        outcomes = await within(asyncio.gather(*asking))
        assert sum(not outcome.repeated for outcome in outcomes) == 1
        assert {str(outcome.result) for outcome in outcomes} == {"{'attempt': 1}"}
        assert (step.executed, await work.read(coats)) == (1, 1)

    async def test_of_two_processes_the_first_to_end_counts_and_the_other_leaves_nothing(
        self, work: Factory, here: Participant[ParticipantWork], step: Paint, clock: FakeClock
    ) -> None:
        other = Paint()
        step.gate.clear()
        slow = asyncio.create_task(here.execute(call(), fence=1))
        await within(step.at_gate.wait())
        first = await participant(work, other, clock).execute(call(), fence=1)
        step.gate.set()
        assert first.repeated is False
        assert await within(slow) == Outcome(result=first.result, repeated=True)
        assert await work.read(coats) == 1

    async def test_who_was_overtaken_in_the_middle_commits_nothing(
        self, work: Factory, here: Participant[ParticipantWork], there: Participant[ParticipantWork], step: Paint
    ) -> None:
        step.gate.clear()
        slow = asyncio.create_task(here.execute(call(), fence=1))
        await within(step.at_gate.wait())
        await there.prepare(call("paint", "op-2"), fence=2)
        step.gate.set()
        with pytest.raises(FailedPrecondition) as refusal:
            await within(slow)
        assert refusal.value.reason == "FENCED"
        assert await work.read(coats) == 0

    async def test_a_new_holder_joins_what_the_former_one_began(
        self, work: Factory, here: Participant[ParticipantWork], there: Participant[ParticipantWork], step: Paint
    ) -> None:
        step.gate.clear()
        former = asyncio.create_task(here.execute(call(), fence=1))
        await within(step.at_gate.wait())
        with pytest.raises(FailedPrecondition, match="comes with 0"):
            await here.execute(call(), fence=0)
        new = asyncio.create_task(here.execute(call(), fence=2))
        for _ in range(1_000):
            if await work.read(lambda tx: tx.step_notes.fence(MODEL)) == 2:
                break
            await asyncio.sleep(0.001)
        with pytest.raises(FailedPrecondition, match="held with fence 2"):
            await there.execute(call(), fence=1)
        step.gate.set()
        assert (await within(new)).result == (await within(former)).result == {"attempt": 1}

    async def test_whoever_stops_waiting_does_not_stop_the_step(
        self, work: Factory, here: Participant[ParticipantWork], step: Paint
    ) -> None:
        step.gate.clear()
        impatient = asyncio.create_task(here.execute(call(), fence=1))
        await within(step.at_gate.wait())
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        step.gate.set()
        assert await within(here.execute(call(), fence=1)) == Outcome(result={"attempt": 1}, repeated=True)
        assert step.executed == 1

    async def test_a_step_that_never_ran_can_be_undone_and_never_runs_afterwards(
        self, work: Factory, here: Participant[ParticipantWork], there: Participant[ParticipantWork], step: Paint
    ) -> None:
        assert await here.compensate(call(), {}, fence=1) == Outcome(result={}, repeated=False)
        for late in (here, there):
            with pytest.raises(FailedPrecondition) as refusal:
                await late.execute(call(), fence=1)
            assert refusal.value.reason == "STEP_COMPENSATED"
        assert (step.executed, step.undone, await work.read(coats)) == (0, 1, 0)
        assert (await here.execute(call("paint", "op-2"), fence=1)).repeated is False

    async def test_what_goes_on_is_stopped_before_it_is_undone(
        self, work: Factory, here: Participant[ParticipantWork], step: Paint
    ) -> None:
        step.gate.clear()
        going_on = asyncio.create_task(here.execute(call(), fence=1))
        await within(step.at_gate.wait())
        undoing = asyncio.create_task(here.compensate(call(), {}, fence=1))
        with pytest.raises(FailedPrecondition) as refusal:
            await within(going_on)
        assert refusal.value.reason == "STEP_COMPENSATED"
        step.gate.set()
        assert await within(undoing) == Outcome(result={}, repeated=False)
        assert await work.read(coats) == 0

    async def test_what_goes_on_in_another_process_commits_nothing_once_it_is_undone(
        self, work: Factory, here: Participant[ParticipantWork], there: Participant[ParticipantWork], step: Paint
    ) -> None:
        step.gate.clear()
        going_on = asyncio.create_task(here.execute(call(), fence=1))
        await within(step.at_gate.wait())
        await there.compensate(call(), {}, fence=1)
        step.gate.set()
        with pytest.raises(FailedPrecondition) as refusal:
            await within(going_on)
        assert refusal.value.reason == "STEP_COMPENSATED"
        assert await work.read(coats) == 0

    async def test_a_compensation_is_repeated_until_it_succeeds_and_then_no_more(
        self, here: Participant[ParticipantWork], there: Participant[ParticipantWork], step: Paint
    ) -> None:
        step.failure = Unavailable("NO_WATER")
        for _ in range(2):
            with pytest.raises(Unavailable):
                await here.compensate(call(), {}, fence=1)
        with pytest.raises(FailedPrecondition):
            await here.execute(call(), fence=1)
        step.failure = None
        assert (await here.compensate(call(), {}, fence=1)).repeated is False
        for again in (here, there):
            assert (await again.compensate(call(), {}, fence=1)).repeated is True
        assert (step.executed, step.undone) == (0, 3)

    async def test_a_process_that_stops_leaves_the_step_to_the_next(
        self, work: Factory, here: Participant[ParticipantWork], there: Participant[ParticipantWork], step: Paint
    ) -> None:
        step.gate.clear()
        going_on = asyncio.create_task(here.execute(call(), fence=1))
        await within(step.at_gate.wait())
        await within(here.close())
        with pytest.raises(Unavailable) as stopping:
            await going_on
        assert stopping.value.reason == "PARTICIPANT_STOPPING"
        with pytest.raises(Unavailable):
            await here.execute(call(), fence=1)
        assert await there.execute(call(), fence=1) == Outcome(result={"attempt": 1}, repeated=False)
        assert await work.read(coats) == 1

    async def test_no_more_steps_go_on_than_there_may_and_undoing_has_room_of_its_own(
        self, here: Participant[ParticipantWork], step: Paint
    ) -> None:
        step.gate.clear()
        asking = [asyncio.create_task(here.execute(call("paint", f"op-{number}"), fence=1)) for number in range(OPTIONS.steps)]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted) as refusal:
            await here.execute(call("paint", "op-more"), fence=1)
        assert (refusal.value.reason, refusal.value.retry_after) == ("STEPS_BUSY", 1.0)
        step.gate.set()
        assert (await within(here.compensate(call("paint", "op-more"), {}, fence=1))).repeated is False
        assert len(await within(asyncio.gather(*asking))) == OPTIONS.steps

    async def test_a_step_that_nobody_knows_is_refused_naming_those_there_are(self, here: Participant[ParticipantWork]) -> None:
        with pytest.raises(Unimplemented, match="these it has: paint") as refusal:
            await here.prepare(call("sing"), fence=1)
        assert refusal.value.reason == "STEP_UNKNOWN"

    async def test_a_step_that_takes_too_long_is_given_up(self, work: Factory, step: Paint, clock: FakeClock) -> None:
        step.gate.clear()
        hasty = participant(work, step, clock, options=ParticipationOptions(longest_step_s=0.01))
        with pytest.raises(DeadlineExceeded) as refusal:
            await within(hasty.execute(call(), fence=1))
        assert refusal.value.reason == "STEP_TOO_LONG"

    async def test_what_steps_gave_is_forgotten_after_a_while_and_the_fence_is_not(
        self, work: Factory, here: Participant[ParticipantWork], step: Paint, clock: FakeClock
    ) -> None:
        await here.execute(call(), fence=9)
        await clock.advance(OPTIONS.notes_s + 1)
        for number in range(64):  # the notes are looked through now and then
            await here.compensate(call("paint", f"op-many-{number}"), {}, fence=9)
        key = StepKey.of(call(), Direction.EXECUTE)
        assert await work.read(lambda tx: (tx.step_notes.find(key), tx.step_notes.fence(MODEL))) == (None, 9)


def participant(
    work: Factory, step: Paint, clock: FakeClock, *, options: ParticipationOptions = OPTIONS
) -> Participant[ParticipantWork]:
    """One process of an area that can paint."""
    return Participant("painters", work=work, steps={"paint": step}, clock=clock, options=options)


async def within(waiting: Awaitable[T]) -> T:
    """What `waiting` gives, within the deadline of a test."""
    async with asyncio.timeout(DEADLINE):
        return await waiting
