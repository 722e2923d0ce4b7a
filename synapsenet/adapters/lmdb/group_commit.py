"""Group commit: writers wait together for one flush to the disk instead of one each."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import lmdb

from synapsenet.adapters.lmdb.environment import Environment
from synapsenet.errors import Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Command:
    apply: Callable[[lmdb.Transaction], Any]
    committed: Callable[[Any], None] | None
    rows: int
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]


class GroupCommit:
    """Runs functions of a transaction on the environment's one writer thread, as many in a transaction as are waiting.

    Args:
        rows: rows after which a transaction takes no further function.
        pending: functions that may be queued; further callers wait before they queue.
    """

    def __init__(self, environment: Environment, *, rows: int, pending: int) -> None:
        self._environment = environment
        self._rows = rows
        self._room = asyncio.Semaphore(pending)
        self._queue: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="online-store-writer", daemon=True)
        self._thread.start()

    async def run(
        self, apply: Callable[[lmdb.Transaction], T], *, rows: int = 1, committed: Callable[[T], None] | None = None
    ) -> T:
        """What `apply` returned, once its transaction is on disk. It may be called again if the map had to grow.

        `committed` is told of it on the event loop, also if the caller has given up waiting.

        Raises:
            ResourceExhausted: STORAGE_FULL; whatever `apply` did is undone.
            Unavailable: STORE_CLOSED.
        """
        async with self._room:
            if self._closed:
                raise Unavailable("STORE_CLOSED", "the online store is closed", remedy="retry once the platform runs again")
            loop = asyncio.get_running_loop()
            command = _Command(apply, committed, rows, loop, loop.create_future())
            self._queue.put(command)
            result: T = await command.answer
            return result

    async def close(self) -> None:
        """Carry out what is queued, then end the thread."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, last = self._gather(first)
            self._carry_out(group)
            if last:
                return

    def _gather(self, first: _Command) -> tuple[list[_Command], bool]:
        group, rows = [first], first.rows
        while rows < self._rows:
            try:
                command = self._queue.get_nowait()
            except queue.Empty:
                break
            if command is None:
                return group, True
            group.append(command)
            rows += command.rows
        return group, False

    def _carry_out(self, group: Sequence[_Command]) -> None:
        try:
            results = self._commit(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, its caller must hear of it
            if len(group) > 1:
                for command in group:
                    self._carry_out([command])  # one that does not fit must not fail its neighbours
            else:
                _deliver(group[0], None, self._environment.explained(error) if isinstance(error, lmdb.Error) else error)
            return
        for command, result in zip(group, results, strict=True):
            _deliver(command, result, None)

    def _commit(self, group: Sequence[_Command]) -> list[Any]:
        while True:
            try:
                with self._environment.writing() as transaction:
                    return [command.apply(transaction) for command in group]
            except lmdb.MapFullError:
                if not self._environment.grow():
                    raise


def _deliver(command: _Command, result: Any, error: Exception | None) -> None:
    def settle() -> None:
        if error is None and command.committed is not None:
            command.committed(result)
        if command.answer.done():  # its caller gave up; what was written stays written
            return
        if error is None:
            command.answer.set_result(result)
        else:
            command.answer.set_exception(error)

    command.loop.call_soon_threadsafe(settle)
