"""The desk for operations: what may be known of them, and what people may have done about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, InvalidArgument, NotFound
from synapsenet.lifecycle.events import OperationChanged, StepChanged, aggregate
from synapsenet.lifecycle.execution import CANCELLED_BY_CALLER
from synapsenet.lifecycle.ledger import change, take
from synapsenet.lifecycle.machine import Rule, StateMachine
from synapsenet.lifecycle.model import Caller, Operation, OperationState
from synapsenet.lifecycle.ports import LifecycleWork, OperationQuery
from synapsenet.lifecycle.projecting import Projector
from synapsenet.lifecycle.running import Runner
from synapsenet.platform.events import Event, EventFeed
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.records import decode, encode
from synapsenet.platform.work import Request, WorkFactory

Change = Callable[[LifecycleWork, Operation], Operation]


class OperationDesk:
    """Operations as their callers and operators see them."""

    def __init__(
        self,
        *,
        work: WorkFactory[LifecycleWork],
        feed: EventFeed,
        machine: StateMachine,
        projector: Projector,
        runner: Runner,
        clock: Clock,
    ) -> None:
        self._work = work
        self._feed = feed
        self._machine = machine
        self._projector = projector
        self._runner = runner
        self._clock = clock

    async def get(self, operation_id: str) -> Operation:
        """One operation.

        Raises:
            NotFound: OPERATION_UNKNOWN.
        """
        return await self._work.read(lambda tx: _known(tx, operation_id))

    async def page(self, query: OperationQuery, page: PageRequest) -> Page[Operation]:
        """Operations, the newest first.

        Raises:
            InvalidArgument: PAGE_TOKEN_INVALID.
        """
        before = None if page.after is None else int(page.after[0])
        rows = await self._work.read(lambda tx: tx.operations.page(query, before=before, limit=page.limit + 1))
        numbered = page.page(rows, lambda row: [row[0]])
        return Page(tuple(operation for _, operation in numbered.items), numbered.next_token)

    async def watch(self, operation_id: str) -> AsyncIterator[Operation]:
        """The operation now and after each change, until it has ended.

        Raises:
            NotFound: OPERATION_UNKNOWN.
        """
        newest = await self._feed.newest()
        operation = await self.get(operation_id)
        yield operation
        if operation.state.has_ended:
            return
        read = operation.revision
        events = self._feed.watch(after=newest, aggregate=aggregate(operation.model_id))
        async with aclosing(events) as changes:  # type: ignore[type-var]  # it is a generator
            async for event in changes:
                operation, is_whole = _told(operation, event, read)
                if is_whole:
                    yield operation
                if operation.state.has_ended:
                    return

    async def wait(self, operation_id: str, *, timeout: float | None) -> Operation:
        """The operation when it has ended and the registry shows it, or as it is after `timeout` seconds.

        Raises:
            NotFound: OPERATION_UNKNOWN.
        """
        try:
            async with asyncio.timeout(timeout):
                operation = await self._ended(operation_id)
        except TimeoutError:
            return await self.get(operation_id)
        statuses = await self._work.read(lambda tx: tx.versions.of(operation.model_id))
        if statuses:
            await self._projector.until_shown(max(statuses, key=lambda status: status.sequence))
        return operation

    async def _ended(self, operation_id: str) -> Operation:
        """Its end: from what carries it here, else from the event that tells it; to read after every step would cost more."""
        if (carried := self._runner.carried(operation_id)) is not None:
            await asyncio.wait({carried})
        newest = await self._feed.newest()
        operation = await self.get(operation_id)
        if operation.state.has_ended:
            return operation
        events = self._feed.watch(after=newest, aggregate=aggregate(operation.model_id))
        async with aclosing(events) as changes:  # type: ignore[type-var]  # it is a generator
            async for event in changes:
                if event.type == OperationChanged.__name__:
                    changed = decode(OperationChanged, event.payload).operation
                    if changed.id == operation_id and changed.state.has_ended:
                        return changed
        raise AssertionError("a log that is watched never ends")

    async def cancel(self, operation_id: str, caller: Caller, request: Request) -> Operation:
        """Have an operation undone; what is being undone already goes on being undone.

        Raises:
            NotFound: OPERATION_UNKNOWN.
            FailedPrecondition: OPERATION_ENDED.
            AlreadyExists: REQUEST_ID_REUSED.
        """

        def cancelled(operation: Operation) -> Operation:
            if operation.state.has_ended:
                raise FailedPrecondition(
                    "OPERATION_ENDED",
                    f"operation {operation.id} has ended: it {operation.state.value}",
                    field="operation_id",
                    remedy="begin another one that brings back what was",
                )
            if operation.state is OperationState.WAITING:
                return replace(operation, state=OperationState.FAILED, failure=CANCELLED_BY_CALLER, cancelling=True)
            return replace(operation, cancelling=True)

        return await self._changed(operation_id, request, lambda _tx, operation: cancelled(operation))

    async def retry(self, operation_id: str, request: Request) -> Operation:
        """Try the failing compensation again now.

        Raises:
            NotFound: OPERATION_UNKNOWN.
            FailedPrecondition: OPERATION_NEEDS_NO_ATTENTION.
            AlreadyExists: REQUEST_ID_REUSED.
        """

        def again(operation: Operation) -> Operation:
            _require_attention(operation)
            return replace(operation, state=OperationState.COMPENSATING)

        return await self._changed(operation_id, request, lambda _tx, operation: again(operation))

    async def resolve(self, operation_id: str, resolution: str, state: str, caller: Caller, request: Request) -> Operation:
        """Take a person's word that what a failing compensation would have done is settled; the version is in `state`
        from then on, or in the one of before if it is empty.

        Raises:
            NotFound: OPERATION_UNKNOWN.
            InvalidArgument: STATE_UNKNOWN.
            FailedPrecondition: OPERATION_NEEDS_NO_ATTENTION.
            AlreadyExists: REQUEST_ID_REUSED.
        """
        if state and state not in self._machine.states:
            raise InvalidArgument(
                "STATE_UNKNOWN",
                f"state: there is no state {state[:64]!r}",
                field="state",
                remedy=f"use {', '.join(self._machine.states)}",
            )

        def resolved(tx: LifecycleWork, operation: Operation) -> Operation:
            _require_attention(operation)
            new = replace(operation, state=OperationState.RESOLVED, resolution=resolution)
            status = tx.versions.find(operation.model_id, operation.version)
            if status is not None:
                way = Rule(
                    source=status.state,
                    event="resolve",
                    target=state or operation.source,
                    description="A person settled what the platform could not undo.",
                )
                take(tx, status, way, caller=caller, at=self._clock.now(), operation=new)
            return new

        return await self._changed(operation_id, request, resolved)

    async def _changed(self, operation_id: str, request: Request, make: Change) -> Operation:
        def commit(tx: LifecycleWork) -> Operation:
            if (earlier := tx.earlier(request)) is not None:
                return _known(tx, decode(str, earlier))
            operation = _known(tx, operation_id)
            tx.remember(request, encode(operation.id))
            return change(tx, operation, make(tx, operation), at=self._clock.now())

        return await self._work.run(commit)


def _told(operation: Operation, event: Event, read: int) -> tuple[Operation, bool]:
    """`operation` as the event leaves it, and whether a change of it ends there; revision `read` had all before it.

    A step that is not among its steps is one that has only been planned: the operation follows in the same change.
    """
    if event.type == OperationChanged.__name__:
        changed = decode(OperationChanged, event.payload).operation
        is_new = changed.id == operation.id and changed.revision > read
        return (changed, True) if is_new else (operation, False)
    if event.type != StepChanged.__name__:
        return operation, False
    told = decode(StepChanged, event.payload)
    places = [place for place, step in enumerate(operation.steps) if step.name == told.step.name]
    if told.operation_id != operation.id or told.revision <= read or not places:
        return operation, False
    steps = (*operation.steps[: places[0]], told.step, *operation.steps[places[0] + 1 :])
    return replace(operation, steps=steps, revision=told.revision, updated_at=event.occurred_at), not told.more


def _known(tx: LifecycleWork, operation_id: str) -> Operation:
    if (operation := tx.operations.find(operation_id)) is None:
        raise NotFound(
            "OPERATION_UNKNOWN",
            f"there is no operation {operation_id[:64]}",
            field="operation_id",
            remedy="list the operations for those that there are",
            metadata={"operation_id": operation_id[:128]},
        )
    return operation


def _require_attention(operation: Operation) -> None:
    if operation.state is not OperationState.NEEDS_ATTENTION:
        raise FailedPrecondition(
            "OPERATION_NEEDS_NO_ATTENTION",
            f"operation {operation.id} is {operation.state.value.replace('_', ' ')} and needs no attention",
            field="operation_id",
            remedy="watch it to its end, or cancel it",
            metadata={"state": operation.state.value},
        )
