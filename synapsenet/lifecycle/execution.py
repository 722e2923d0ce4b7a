"""An operation carried to its end: forward step by step, or back in reverse order.

What is recorded decides what is done next, so whoever holds the model can carry on where another stopped. The record has the
intent and what undoing will need before a step is carried out, and its result after; the result of one step and the intent of
the next share a commit, so a saga of n steps takes n + 1.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, Cancelled, DeadlineExceeded, FailedPrecondition, SynapseError
from synapsenet.lifecycle.conclusion import CANCELLED, Conclusion
from synapsenet.lifecycle.failures import as_failure, may_pass
from synapsenet.lifecycle.ledger import change, claim
from synapsenet.lifecycle.model import Failure, Json, Operation, OperationState, StepState
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.lifecycle.ports import LifecycleWork, Participant, StepCall
from synapsenet.lifecycle.saga import Saga, Step
from synapsenet.platform.locks import Held
from synapsenet.platform.work import WorkFactory

Change = Callable[[Operation], Operation]

_log = logging.getLogger(__name__)

CANCELLED_BY_CALLER = Failure(kind="Cancelled", reason=CANCELLED, message="the operation was cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every execution works with."""

    work: WorkFactory[LifecycleWork]
    participants: Mapping[str, Participant]
    conclusion: Conclusion
    clock: Clock
    options: LifecycleOptions


class RecordsAway(Exception):
    """The coordinator's own database does not answer: nothing is known to have been written, so nothing is decided."""


class Execution:
    """One operation in the hands of this process, which holds its model.

    Args:
        poked: set when somebody asked for its end, or for another attempt now.
    """

    def __init__(self, operation: Operation, saga: Saga, held: Held, tools: Tools, *, poked: asyncio.Event) -> None:
        self._operation = operation
        self._saga = saga
        self._held = held
        self._tools = tools
        self._poked = poked

    async def run(self) -> Operation:
        """Carry it to its end.

        Raises:
            Aborted: MODEL_TAKEN_OVER or LOCK_LOST: another carries on, or will.
        """
        while not self._operation.state.has_ended:
            self._held.check()
            try:
                await (self._forward() if self._operation.state is OperationState.RUNNING else self._back())
            except RecordsAway as away:
                _log.warning("operation %s waits for its records: %s", self._operation.id, away)
                await self._tools.clock.sleep(self._tools.options.records_pause_s)
                with suppress(RecordsAway):
                    await self._read_again()
        return self._operation

    async def _forward(self) -> None:
        number = next(place for place, step in enumerate(self._operation.steps) if step.state is not StepState.DONE)
        if self._operation.cancelling:
            await self._turn_back(number, CANCELLED_BY_CALLER)
            return
        try:
            result = await self._attempted(number)
            compensation_input = await self._prepared(number + 1, result)
        except SynapseError as error:
            _stop_if_fenced(error)
            await self._turn_back(number, as_failure(error))
        else:
            await self._step_on(number, result, compensation_input)

    async def _step_on(self, number: int, result: Json, compensation_input: Json) -> None:
        """Record what step `number` gave, and the intent of the next or the operation's end."""
        now = self._tools.clock.now()

        def done(operation: Operation) -> Operation:
            stepped = operation.with_step(number, state=StepState.DONE, result=result, ended_at=now, failure=None)
            if operation.cancelling:
                return replace(stepped, state=OperationState.COMPENSATING, failure=CANCELLED_BY_CALLER)
            if number + 1 == len(operation.steps):
                return replace(stepped, state=OperationState.SUCCEEDED)
            return stepped.with_step(number + 1, state=StepState.RUNNING, compensation_input=compensation_input, started_at=now)

        await self._record(done)

    async def _turn_back(self, number: int, failure: Failure) -> None:
        now = self._tools.clock.now()

        def failed(operation: Operation) -> Operation:
            begun = operation.steps[number]
            noted = operation.with_step(
                number, state=StepState.FAILED, failure=failure, attempts=begun.attempts + 1, ended_at=now
            )
            return replace(noted, state=OperationState.COMPENSATING, failure=failure)

        await self._record(failed)

    async def _back(self) -> None:
        """Undo the last step that is not undone, or end."""
        left = [place for place, step in enumerate(self._operation.steps) if step.state in _TO_UNDO]
        if not left:
            await self._record(lambda operation: replace(operation, state=OperationState.COMPENSATED))
            return
        number = left[-1]
        if not self._saga.steps[number].compensation:
            await self._undone(number)
            return
        try:
            await self._compensate(number)
        except SynapseError as error:
            _stop_if_fenced(error)
            await self._compensation_failed(number, as_failure(error))
        else:
            await self._undone(number)

    async def _compensate(self, number: int) -> None:
        step, progress = self._saga.steps[number], self._operation.steps[number]
        participant = self._tools.participants[step.participant]
        await participant.compensate(
            self._call(step),
            progress.compensation_input,
            fence=self._held.token,
            timeout=step.timeout.total_seconds(),
        )

    async def _undone(self, number: int) -> None:
        now = self._tools.clock.now()

        def undone(operation: Operation) -> Operation:
            back = operation.with_step(number, state=StepState.COMPENSATED, ended_at=now)
            left = any(step.state in _TO_UNDO for step in back.steps)
            return replace(back, state=OperationState.COMPENSATING if left else OperationState.COMPENSATED)

        await self._record(undone)

    async def _compensation_failed(self, number: int, failure: Failure) -> None:
        """Record it, and pause: longer each time, and with a call for attention after a few."""
        attempts = self._operation.steps[number].compensation_attempts + 1
        worrying = attempts >= self._tools.options.compensation_attempts
        state = OperationState.NEEDS_ATTENTION if worrying else OperationState.COMPENSATING

        def noted(operation: Operation) -> Operation:
            tried = operation.with_step(number, state=StepState.COMPENSATING, compensation_attempts=attempts, failure=failure)
            return replace(tried, state=state)

        self._poked.clear()
        await self._record(noted)
        await self._pause(attempts)

    async def _attempted(self, number: int) -> Json:
        """What the step gave, after as many attempts as it has."""
        step = self._saga.steps[number]
        for attempt in range(1, step.attempts + 1):
            self._held.check()
            try:
                return await self._executed(step)
            except SynapseError as error:
                if attempt == step.attempts or not may_pass(error) or self._operation.cancelling:
                    raise
                await self._note_attempt(number, as_failure(error))
            if self._operation.cancelling:
                raise Cancelled(CANCELLED_BY_CALLER.reason, CANCELLED_BY_CALLER.message)
            await self._pause(attempt)
        raise AssertionError("a step has at least one attempt")

    async def _executed(self, step: Step) -> Json:
        """One attempt, given up early if somebody cancels the operation here, late if its time is over."""
        participant = self._tools.participants[step.participant]
        seconds = min(step.timeout.total_seconds(), self._time_left())
        if seconds <= 0:
            raise DeadlineExceeded("OPERATION_TIMEOUT", f"the {self._operation.title} took too long", remedy="try again")
        calling = asyncio.ensure_future(participant.execute(self._call(step), fence=self._held.token, timeout=seconds))
        try:
            while not await self._is_done_before_poke(calling):
                await self._read_again()
                if self._operation.cancelling:
                    raise Cancelled(CANCELLED_BY_CALLER.reason, CANCELLED_BY_CALLER.message)
            return await calling
        finally:
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)

    async def _is_done_before_poke(self, calling: asyncio.Future[Json]) -> bool:
        poked = asyncio.ensure_future(self._poked.wait())
        try:
            either: set[asyncio.Future[Any]] = {calling, poked}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            poked.cancel()
        self._poked.clear()
        return calling.done()

    async def _prepared(self, number: int, result: Json) -> Json:
        """What undoing step `number` will need; nothing if there is no such step."""
        if number == len(self._saga.steps):
            return {}
        step = self._saga.steps[number]
        if not step.compensation:
            return {}
        participant = self._tools.participants[step.participant]
        call = self._call(step, also=result)
        return await participant.prepare(call, fence=self._held.token, timeout=step.timeout.total_seconds())

    async def _note_attempt(self, number: int, failure: Failure) -> None:
        await self._record(
            lambda operation: operation.with_step(number, attempts=operation.steps[number].attempts + 1, failure=failure)
        )

    async def _record(self, make: Change) -> None:
        """Commit `make` of the operation as it is; should somebody have changed it meanwhile, of what it is now."""
        while True:
            try:
                self._operation = await self._tools.work.run(partial(self._commit, self._operation, make(self._operation)))
            except Aborted as error:
                _stop_if_fenced(error)
                await self._read_again()
                if self._operation.state.has_ended:
                    return
            except SynapseError as error:
                raise RecordsAway(error.public) from error
            else:
                return

    def _commit(self, old: Operation, new: Operation, tx: LifecycleWork) -> Operation:
        claim(tx, old.model_id, self._held.token)
        now = self._tools.clock.now()
        recorded = change(tx, old, new, at=now)
        self._tools.conclusion.draw(tx, self._saga, old, recorded, at=now)
        return recorded

    async def _read_again(self) -> None:
        try:
            read = await self._tools.work.read(lambda tx: tx.operations.find(self._operation.id))
        except SynapseError as error:
            raise RecordsAway(error.public) from error
        self._operation = read or self._operation

    async def _pause(self, attempts: int) -> None:
        """Wait before the next attempt, twice as long each time; a poke ends it."""
        options = self._tools.options
        seconds = min(options.longest_pause_s, options.first_pause_s * 2 ** (attempts - 1)) * random.uniform(0.5, 1.0)
        await _first(self._tools.clock.sleep(seconds), self._poked.wait())

    def _time_left(self) -> float:
        until = self._tools.conclusion.deadline(self._operation)
        return float("inf") if until is None else (until - self._tools.clock.now()).total_seconds()

    def _call(self, step: Step, *, also: Json = MappingProxyType({})) -> StepCall:
        operation = self._operation
        return StepCall(
            operation_id=operation.id,
            step=step.name,
            saga=operation.saga,
            saga_version=operation.saga_version,
            model_id=operation.model_id,
            version=operation.version,
            input={**operation.input, **operation.results, **also},
        )


_TO_UNDO = frozenset({StepState.RUNNING, StepState.DONE, StepState.FAILED, StepState.COMPENSATING})

_LOST = frozenset({"FENCED", "LOCK_LOST", "MODEL_TAKEN_OVER"})


def _stop_if_fenced(error: SynapseError) -> None:
    """Raise what says that another holds the model; nothing may be written, not even that."""
    if isinstance(error, FailedPrecondition | Aborted) and error.reason in _LOST:
        raise Aborted("MODEL_TAKEN_OVER", error.public) from error


async def _first(*waits: Awaitable[object]) -> None:
    """Return when one of `waits` does."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
