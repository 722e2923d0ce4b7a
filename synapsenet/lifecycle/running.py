"""Operations in the hands of this process: begun under their model's lock, carried to their end, taken over from the dead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from synapsenet.errors import Aborted, SynapseError
from synapsenet.lifecycle.adopting import Adopting
from synapsenet.lifecycle.beginning import Beginning
from synapsenet.lifecycle.events import OperationChanged
from synapsenet.lifecycle.execution import Execution, Tools
from synapsenet.lifecycle.failures import as_failure
from synapsenet.lifecycle.forgetting import Forgetting
from synapsenet.lifecycle.ledger import accept, change
from synapsenet.lifecycle.model import Operation, OperationState
from synapsenet.lifecycle.overdue import Overdue
from synapsenet.lifecycle.ports import LifecycleWork
from synapsenet.lifecycle.saga import SagaCatalogue
from synapsenet.platform.events import EventFeed
from synapsenet.platform.locks import Held, Locks
from synapsenet.platform.records import decode, encode
from synapsenet.platform.work import Request

_log = logging.getLogger(__name__)


class Runner:
    """Carries operations, each in a task of its own that holds the operation's model.

    Args:
        feed: the coordinator's events, by which wishes to end an operation are heard from other processes, too.
    """

    def __init__(
        self,
        *,
        tools: Tools,
        beginning: Beginning,
        overdue: Overdue,
        forgetting: Forgetting,
        adopting: Adopting,
        sagas: SagaCatalogue,
        locks: Locks,
        feed: EventFeed,
    ) -> None:
        self._tools = tools
        self._beginning = beginning
        self._overdue = overdue
        self._forgetting = forgetting
        self._adopting = adopting
        self._sagas = sagas
        self._locks = locks
        self._feed = feed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._pokes: dict[str, asyncio.Event] = {}
        self._beginnings: dict[str, asyncio.Future[Operation]] = {}
        self._is_stopped = False

    async def begin(self, draft: Operation, request: Request, *, expected: int | None, wait: float) -> Operation:
        """Begin `draft`, or have it wait up to `wait` seconds for its model; it goes on if its caller leaves.

        Raises:
            Aborted: MODEL_BUSY, another operation holds the model and `wait` is 0; VERSION_CHANGED.
            FailedPrecondition, InvalidArgument: as `Beginning.begin`.
        """
        while (same := self._beginnings.get(request.id)) is not None:
            await asyncio.wait({same})
        begun: asyncio.Future[Operation] = asyncio.get_running_loop().create_future()
        if request.id:  # before anything is awaited: two that come at once must not both find that nothing was begun
            self._beginnings[request.id] = begun
            begun.add_done_callback(lambda _: self._beginnings.pop(request.id, None))
        try:
            earlier = await self._beginning.earlier(request)
        except BaseException:
            begun.cancel()
            raise
        if earlier is not None:
            begun.set_result(earlier)
            return earlier
        self._spawn(draft.id, self._carry(draft, request, expected, wait, begun))
        return await asyncio.shield(begun)

    def carried(self, operation_id: str) -> asyncio.Task[None] | None:
        """What carries the operation in this process, until it is done with it; None: nothing here does."""
        return self._tasks.get(operation_id)

    async def keep(self) -> None:
        """Take over what nobody carries on, end what takes too long, and forget what ended long ago, for ever."""
        while True:
            try:
                for operation in await self._tools.work.read(lambda tx: tx.operations.unended()):
                    if operation.id not in self._tasks and not self._is_stopped:
                        self._spawn(operation.id, self._resume(operation.id))
                await self._overdue.end()
                await self._forgetting.forget()
                await self._adopting.look()
            except SynapseError as error:
                _log.warning("operations that nobody carries on are not looked for: %s", error.public)
            await self._tools.clock.sleep(self._tools.options.sweep_s)

    async def listen(self) -> None:
        """Hear who wants an operation of ours to end or to be tried again, for ever."""
        while True:
            try:
                await self._hear()
            except SynapseError as error:
                _log.warning("wishes about operations are not heard: %s", error.public)
            await self._tools.clock.sleep(self._tools.options.records_pause_s)

    async def _hear(self) -> None:
        position = await self._feed.newest()
        for poke in self._pokes.values():
            poke.set()  # something may have been said while nobody listened
        async for event in self._feed.watch(after=position):
            if event.type == OperationChanged.__name__:
                operation = decode(OperationChanged, event.payload).operation
                if (poked := self._pokes.get(operation.id)) is not None:
                    poked.set()

    async def stop(self) -> None:
        """Give up what is under way, for the next start, and take nothing up any more."""
        self._is_stopped = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, operation_id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=operation_id)
        self._tasks[operation_id] = task
        self._pokes[operation_id] = asyncio.Event()

        def ended(task: asyncio.Task[None]) -> None:
            del self._tasks[operation_id], self._pokes[operation_id]
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("operation %s was dropped, and will be taken up again", operation_id, exc_info=error)

        task.add_done_callback(ended)

    async def _carry(
        self, draft: Operation, request: Request, expected: int | None, wait: float, begun: asyncio.Future[Operation]
    ) -> None:
        try:
            try:
                async with self._holding(draft, wait=await self._release_time(draft)) as held:
                    operation = await self._beginning.begin(draft, request, held, expected=expected)
                    begun.set_result(operation)
                    if operation.id == draft.id:  # else it is what the same request began before
                        await self._execute(operation, held)
                    return
            except Aborted as busy:
                if begun.done() or busy.reason != "MODEL_BUSY":
                    raise
                if (earlier := await self._beginning.earlier(request)) is not None:  # another process was asked, too
                    begun.set_result(earlier)
                    return
                if wait <= 0:
                    raise
                waiting = await self._wait_in_line(draft, request, wait, busy)
            begun.set_result(waiting)
            if waiting.id == draft.id:
                await self._await_turn(waiting)
        except SynapseError as error:
            self._tell(draft, begun, error)

    async def _release_time(self, draft: Operation) -> float:
        """Seconds to wait for a lock even without patience: one that no operation needs any more is about to be released."""
        at_work = await self._tools.work.read(lambda tx: tx.operations.at_work(draft.model_id))
        return self._tools.options.release_s if at_work is None else 0.0

    def _tell(self, draft: Operation, begun: asyncio.Future[Operation], error: SynapseError) -> None:
        if begun.done():
            _log.warning("operation %s is left to another: %s", draft.id, error.public)
        elif not begun.cancelled():
            begun.set_exception(error)

    async def _wait_in_line(self, draft: Operation, request: Request, wait: float, busy: Aborted) -> Operation:
        seconds = min(wait, self._tools.options.longest_wait_s)
        waiting = replace(
            draft,
            state=OperationState.WAITING,
            waiting_for=busy.metadata.get("holder", ""),
            wait_until=self._tools.clock.now() + timedelta(seconds=seconds),
        )

        def commit(tx: LifecycleWork) -> Operation:
            if (earlier := tx.earlier(request)) is not None:
                return tx.operations.find(decode(str, earlier)) or waiting
            tx.remember(request, encode(waiting.id))
            return accept(tx, waiting)

        return await self._tools.work.run(commit)

    async def _await_turn(self, waiting: Operation) -> None:
        try:
            async with self._holding(waiting, wait=self._patience(waiting)) as held:
                await self._continue(waiting.id, held)
        except Aborted as busy:
            if busy.reason != "MODEL_BUSY":
                raise
            await self._give_up(waiting, busy)

    async def _resume(self, operation_id: str) -> None:
        """Carry on with what is recorded, unless somebody else does."""
        operation = await self._tools.work.read(lambda tx: tx.operations.find(operation_id))
        if operation is None:
            return
        try:
            async with self._holding(operation) as held:
                await self._continue(operation_id, held)
        except Aborted as busy:
            if busy.reason == "MODEL_BUSY" and operation.state is OperationState.WAITING and self._patience(operation) <= 0:
                await self._give_up(operation, busy)
            elif busy.reason != "MODEL_BUSY":
                _log.warning("operation %s is left to another: %s", operation_id, busy.public)
        except SynapseError as error:
            _log.warning("operation %s is taken up later: %s", operation_id, error.public)

    async def _continue(self, operation_id: str, held: Held) -> None:
        """What is recorded of an operation, carried on; first of all what its model was left with."""
        operation = await self._tools.work.read(lambda tx: tx.operations.find(operation_id))
        if operation is None or operation.state.has_ended:
            return
        model_id = operation.model_id
        left = await self._tools.work.read(lambda tx: tx.operations.at_work(model_id))
        if left is not None and left.id != operation_id:
            await self._execute(left, held)
        if operation.state is OperationState.WAITING:
            try:
                operation = await self._beginning.begin_waiting(operation, held)
            except SynapseError as error:
                if error.reason in ("FENCED", "MODEL_TAKEN_OVER", "OPERATION_CHANGED"):
                    raise
                await self._give_up(operation, error)
                return
        await self._execute(operation, held)

    async def _execute(self, operation: Operation, held: Held) -> None:
        """Carry `operation` to its end, or until the lease is lost."""
        saga = self._sagas.definition(operation.saga, operation.saga_version)
        poked = self._pokes.get(operation.id) or asyncio.Event()
        execution = Execution(operation, saga, held, self._tools, poked=poked)
        running = asyncio.create_task(execution.run(), name=operation.title)
        losing = asyncio.create_task(held.lost())
        try:
            await asyncio.wait({running, losing}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            else:
                held.check()
        finally:
            running.cancel()
            losing.cancel()
            await asyncio.gather(running, losing, return_exceptions=True)

    async def _give_up(self, waiting: Operation, error: SynapseError) -> None:
        """Nothing of it happened, and nothing will."""

        def commit(tx: LifecycleWork) -> None:
            operation = tx.operations.find(waiting.id)
            if operation is not None and operation.state is OperationState.WAITING:
                failed = replace(operation, state=OperationState.FAILED, failure=as_failure(error))
                change(tx, operation, failed, at=self._tools.clock.now())

        await self._tools.work.run(commit)

    def _patience(self, waiting: Operation) -> float:
        """Seconds that are left of it."""
        until = waiting.wait_until or waiting.created_at
        return max(0.0, (until - self._tools.clock.now()).total_seconds())

    @asynccontextmanager
    async def _holding(self, operation: Operation, *, wait: float = 0.0) -> AsyncIterator[Held]:
        """Hold the operation's model.

        Raises:
            Aborted: MODEL_BUSY, naming who holds it.
        """
        holder = f"operation {operation.id}, {operation.title}"
        hold = self._locks.hold(f"model/{operation.model_id}", holder=holder, ttl=self._tools.options.lease_s, wait=wait)
        try:
            held = await hold.__aenter__()
        except Aborted as busy:
            raise model_busy(operation, busy.metadata.get("holder", "")) from busy
        try:
            yield held
        finally:
            await hold.__aexit__(None, None, None)


def model_busy(operation: Operation, holder: str) -> Aborted:
    """Another holds the model."""
    return Aborted(
        "MODEL_BUSY",
        f"model {operation.model_name} is held by {holder or 'another operation'}",
        remedy="wait for it to end, or give intent.wait",
        retry_after=1.0,
        metadata={"holder": holder, "model_id": operation.model_id},
    )
