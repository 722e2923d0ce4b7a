"""A participant: carries out an area's steps, each once per operation, and for nobody but the newest holder of a model.

A repetition gives the first result. While a step goes on, a repetition joins it; one that comes to another process of the area
runs beside it, and the first to end is the one that counts. A failure is no result: the next attempt begins the step again. To
undo a step is first noted, then what is going on of it here is stopped, then it is undone; from the note on, nothing of the
step can be committed, in whatever process it still goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from synapsenet.clock import Clock
from synapsenet.errors import DeadlineExceeded, ResourceExhausted, SynapseError, Unavailable, Unimplemented
from synapsenet.platform.participation import (
    Direction,
    Json,
    ParticipantWork,
    Step,
    StepCall,
    StepKey,
    StepNote,
    Turn,
    compensated,
    fenced,
)
from synapsenet.platform.work import WorkFactory

W = TypeVar("W", bound=ParticipantWork)

_log = logging.getLogger(__name__)

_FORGET_EVERY = 64  # ends of steps
_FORGOTTEN_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipationOptions:
    """Bounds of taking part in sagas.

    Attributes:
        steps: how many may go on at once in a process, each way; one more is refused with the time to come back.
        longest_step_s: how long one attempt may take, even if nobody waits for it any more.
        notes_s: how long what a step gave is kept after its end; fences are kept for ever.
    """

    steps: int = 64
    longest_step_s: float = 3_600.0
    notes_s: float = 14 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step gave.

    Attributes:
        repeated: it had happened already, or was going on.
    """

    result: Json
    repeated: bool


@dataclass(frozen=True, slots=True)
class _Job:
    turn: Turn
    task: asyncio.Task[Outcome]


class Participant(Generic[W]):
    """One area's part in sagas.

    What goes on is carried to its end even if its caller leaves, so that the next attempt finds it further on; `close` ends it.

    Args:
        name: as sagas call it.
        steps: by name.
    """

    def __init__(
        self,
        name: str,
        *,
        work: WorkFactory[W],
        steps: Mapping[str, Step[W]],
        clock: Clock,
        options: ParticipationOptions,
    ) -> None:
        self.name = name
        self._work = work
        self._steps = steps
        self._clock = clock
        self._options = options
        self._jobs: dict[StepKey, _Job] = {}
        self._ended = 0
        self._closed = False

    async def prepare(self, call: StepCall, *, fence: int) -> Json:
        """What undoing the step will need; changes nothing but the model's fence.

        Raises:
            Unimplemented: STEP_UNKNOWN.
            FailedPrecondition: FENCED.
        """
        step = self._step(call.step)
        await self._enter(Turn(call, Direction.EXECUTE, fence))
        return await step.prepare(call)

    async def execute(self, call: StepCall, *, fence: int) -> Outcome:
        """Carry the step out, or say what it gave.

        Raises:
            Unimplemented: STEP_UNKNOWN.
            FailedPrecondition: FENCED or STEP_COMPENSATED.
            ResourceExhausted: STEPS_BUSY.
            DeadlineExceeded: STEP_TOO_LONG.
            SynapseError: what the step raises.
        """
        step = self._step(call.step)
        return await self._joined(Turn(call, Direction.EXECUTE, fence), lambda turn: self._execute(step, turn))

    async def compensate(self, call: StepCall, compensation_input: Json, *, fence: int) -> Outcome:
        """Undo the step, so that nothing of it is left or can come after; its result is empty.

        Raises:
            Unimplemented: STEP_UNKNOWN.
            FailedPrecondition: FENCED.
            ResourceExhausted: STEPS_BUSY.
            DeadlineExceeded: STEP_TOO_LONG.
            SynapseError: what the step raises.
        """
        step = self._step(call.step)

        def undo(turn: Turn) -> Awaitable[Outcome]:
            return self._compensate(step, compensation_input, turn)

        return await self._joined(Turn(call, Direction.COMPENSATE, fence), undo)

    async def close(self) -> None:
        """Stop what goes on; it is begun again, or undone, when the coordinator asks next."""
        self._closed = True
        tasks = [job.task for job in self._jobs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _step(self, name: str) -> Step[W]:
        if (step := self._steps.get(name)) is None:
            raise Unimplemented(
                "STEP_UNKNOWN",
                f"{self.name} has no step {name[:64]!r}",
                field="call.step",
                remedy=f"these it has: {', '.join(sorted(self._steps))}",
            )
        return step

    async def _joined(self, turn: Turn, carry_out: Callable[[Turn], Awaitable[Outcome]]) -> Outcome:
        """What the turn gives: the one that goes on already, or `turn` itself from now on."""
        job = self._jobs.get(turn.key)
        if job is None:
            return await self._awaited(self._started(turn, carry_out))
        if turn.fence < job.turn.fence:
            raise fenced(turn.call.model_id, given=turn.fence, held=job.turn.fence)
        job.turn.fence = turn.fence
        await self._enter(turn)  # others with the former fence are refused from now on
        outcome = await self._awaited(job)
        return Outcome(result=outcome.result, repeated=True)

    def _started(self, turn: Turn, carry_out: Callable[[Turn], Awaitable[Outcome]]) -> _Job:
        if self._closed:
            raise _stopping(self.name)
        if sum(key.direction is turn.key.direction for key in self._jobs) >= self._options.steps:
            raise ResourceExhausted(
                "STEPS_BUSY", f"{self.name} carries out {self._options.steps} steps", remedy="retry", retry_after=1.0
            )

        async def bounded() -> Outcome:
            try:
                async with asyncio.timeout(self._options.longest_step_s):
                    return await carry_out(turn)
            except TimeoutError as error:
                title = f"step {turn.call.step} of operation {turn.call.operation_id}"
                raise DeadlineExceeded("STEP_TOO_LONG", f"{title} took too long", remedy="try again") from error

        def ended(task: asyncio.Task[Outcome]) -> None:
            del self._jobs[turn.key]
            if not task.cancelled() and (error := task.exception()) is not None:
                told = error.public if isinstance(error, SynapseError) else repr(error)
                _log.info("%s: %s of %s failed: %s", turn.call.operation_id, turn.key.direction, turn.call.step, told)

        task = asyncio.create_task(bounded(), name=f"{turn.key.direction} {turn.call.step} of {turn.call.operation_id}")
        job = self._jobs[turn.key] = _Job(turn, task)
        task.add_done_callback(ended)
        return job

    async def _awaited(self, job: _Job) -> Outcome:
        await asyncio.wait({job.task})  # whoever stops waiting does not stop the step
        if job.task.cancelled():
            raise _stopping(self.name) if self._closed else compensated(job.turn.call)
        return job.task.result()

    async def _execute(self, step: Step[W], turn: Turn) -> Outcome:
        if (known := await self._enter(turn)) is not None and known.result is not None:
            return Outcome(result=known.result, repeated=True)
        last = await step.execute(turn.call, turn)

        def commit(tx: W) -> Outcome:
            turn.check(tx)
            earlier = tx.step_notes.find(turn.key)
            if earlier is not None and earlier.result is not None:
                return Outcome(result=earlier.result, repeated=True)
            return self._end(tx, turn, last(tx))

        return await self._work.run(commit)

    async def _compensate(self, step: Step[W], compensation_input: Json, turn: Turn) -> Outcome:
        def begin(tx: W) -> bool:
            turn.check(tx)
            tx.step_notes.begin(turn.key, self._clock.now())
            note = tx.step_notes.find(turn.key)
            return note is not None and note.result is not None

        if await self._work.run(begin):
            return Outcome(result={}, repeated=True)
        await self._stop(StepKey.of(turn.call, Direction.EXECUTE))
        last = await step.compensate(turn.call, compensation_input, turn)

        def commit(tx: W) -> Outcome:
            turn.check(tx)
            note = tx.step_notes.find(turn.key)
            if note is not None and note.result is not None:
                return Outcome(result={}, repeated=True)
            last(tx)
            return self._end(tx, turn, {})

        return await self._work.run(commit)

    async def _stop(self, key: StepKey) -> None:
        """End what goes on of a step here."""
        if (job := self._jobs.get(key)) is not None:
            job.task.cancel()
            await asyncio.wait({job.task})

    def _end(self, tx: W, turn: Turn, result: Json) -> Outcome:
        now = self._clock.now()
        tx.step_notes.end(turn.key, result, now)
        self._ended += 1
        if self._ended % _FORGET_EVERY == 1:
            kept = timedelta(seconds=self._options.notes_s)
            tx.step_notes.forget(before=now - kept, limit=_FORGOTTEN_AT_ONCE)
        return Outcome(result=result, repeated=False)

    async def _enter(self, turn: Turn) -> StepNote | None:
        """Note the turn's fence; what is known of the step. One read, if the fence was noted before.

        Raises:
            FailedPrecondition: FENCED or STEP_COMPENSATED.
        """
        model = turn.call.model_id
        undone = StepKey.of(turn.call, Direction.COMPENSATE)
        executing = turn.key.direction is Direction.EXECUTE

        def look(tx: W) -> tuple[int, StepNote | None, bool]:
            notes = tx.step_notes
            return notes.fence(model), notes.find(turn.key), executing and notes.find(undone) is not None

        held, note, is_undone = await self._work.read(look)
        if held > turn.fence:
            raise fenced(model, given=turn.fence, held=held)
        if is_undone:
            raise compensated(turn.call)
        if held < turn.fence:
            await self._work.run(turn.check)
        return note


def _stopping(name: str) -> Unavailable:
    return Unavailable("PARTICIPANT_STOPPING", f"{name} is stopping", remedy="retry", retry_after=1.0)
