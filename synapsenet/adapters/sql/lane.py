"""A bounded number of PostgreSQL connections, each with a thread that waits for its answers."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from synapsenet.adapters.sql.database import Pool
from synapsenet.adapters.sql.postgres_failures import away, busy

T = TypeVar("T")

_GRACE_S = 5.0


class Session:
    """One connection, kept between transactions and made anew when it broke. Used by one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._driver: Any = None
        self._door = threading.Lock()
        self._job = 0
        self._ended = 0

    def connection(self) -> Connection:
        """The connection, made if there is none."""
        if self._connection is None:
            connection = self._engine.connect()
            with self._door:
                self._connection, self._driver = connection, connection.connection.driver_connection
        return self._connection

    @property
    def driver(self) -> Any:
        """psycopg's own connection below `connection()`, once that was called."""
        return self._driver

    def drop(self) -> None:
        """Give the connection up, whatever state it is in."""
        with self._door:
            connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    @property
    def is_open(self) -> bool:
        """Whether it has a connection."""
        return self._connection is not None

    def begin_job(self) -> int:
        """A number for what begins now, by which it can be cut."""
        with self._door:
            self._job += 1
            return self._job

    def end_job(self) -> None:
        with self._door:
            self._ended = self._job

    def cut(self, job: int) -> None:
        """End the wait of `job` for an answer, if it still waits: its thread sees a broken connection."""
        with self._door:
            if self._driver is None or self._driver.closed or self._job != job or self._ended == job:
                return
            with suppress(OSError), socket.socket(fileno=os.dup(self._driver.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)


class Lane:
    """Runs jobs on sessions, one job a session at a time; who comes later waits, in order, for a while.

    Args:
        name: of the database, for people.
        size: how many sessions there are.
        wait_s: seconds after which a waiter is refused.
        job_s: seconds after which a job's connection is cut.
    """

    def __init__(self, engine: Engine, *, name: str, size: int, wait_s: float, job_s: float, max_waiting: int = 1_000) -> None:
        self._name = name
        self._wait_s = wait_s
        self._job_s = job_s
        self._max_waiting = max_waiting
        self._size = size
        self._waiting = 0
        self._idle = [Session(engine) for _ in range(size)]
        self._free = asyncio.Semaphore(size)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=f"{name}-postgres")
        self._running: dict[Future[Any], tuple[Session, int]] = {}
        self._closed = False

    async def run(self, job: Callable[[Session], T]) -> T:
        """`job` on a session of its own. A caller that gives up does not end what was begun.

        Raises:
            ResourceExhausted: DATABASE_BUSY.
            Unavailable: DATABASE_UNAVAILABLE, the lane was closed.
        """
        await self._take_place()
        if self._closed:
            self._free.release()
            raise away(self._name, "closed")
        loop = asyncio.get_running_loop()
        session = self._idle.pop()
        number = session.begin_job()
        try:
            running = self._threads.submit(job, session)
        except BaseException:
            self._give_back(session)
            raise
        self._running[running] = session, number
        alarm = _Alarm(loop, self._job_s, lambda: session.cut(number))

        def ended(done: Future[T]) -> None:
            session.end_job()
            with suppress(RuntimeError):  # the loop may have closed meanwhile
                loop.call_soon_threadsafe(tidy, done)

        def tidy(done: Future[T]) -> None:
            alarm.cancel()
            self._running.pop(done, None)
            self._give_back(session)

        running.add_done_callback(ended)
        return await asyncio.shield(asyncio.wrap_future(running))

    async def _take_place(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        if self._waiting >= self._max_waiting:
            raise busy(self._name, f"{self._waiting} others wait already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError as error:
            raise busy(self._name, f"no connection was free for {self._wait_s:g} s") from error
        finally:
            self._waiting -= 1

    def _give_back(self, session: Session) -> None:
        self._idle.append(session)
        self._free.release()

    def pool(self, purpose: str) -> Pool:
        """Its connections at the moment."""
        idle = sum(session.is_open for session in self._idle)
        return Pool(purpose=purpose, used=self._size - len(self._idle), idle=idle, most=self._size)

    def close(self) -> None:
        """Let what was begun end, within bounds; then close every connection."""
        self._closed = True
        wait(list(self._running), timeout=_GRACE_S)
        for session, number in self._running.values():
            session.cut(number)
        self._threads.shutdown()
        for session in {*self._idle, *(session for session, _ in self._running.values())}:
            session.drop()


class _Alarm:
    """Calls `ring` every `seconds` until cancelled: what was cut may be tried again on a new connection, and hang there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._ring = ring
        self._handle = loop.call_later(seconds, self._go_off)

    def _go_off(self) -> None:
        self._ring()
        self._handle = self._loop.call_later(self._seconds, self._go_off)

    def cancel(self) -> None:
        self._handle.cancel()
