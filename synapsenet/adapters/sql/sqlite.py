"""One SQLite file, owned by one process: a writer thread, snapshot readers, and clear words when it cannot be had.

Writers are serialized on one thread and start with BEGIN IMMEDIATE; WAL lets readers go on beside them; synchronous=FULL
makes a commit durable on return. A lock file beside the database refuses a second owner.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from synapsenet.adapters.ownership import own
from synapsenet.adapters.sql.database import Database, Pool
from synapsenet.adapters.sql.failures import not_storable, translated
from synapsenet.errors import ResourceExhausted

T = TypeVar("T")

_READERS = 2
_BUSY_TIMEOUT_MS = 5_000


class SqliteDatabase(Database):
    """An SQLite file while this process owns it.

    Args:
        path: the SQLite file; made with its folder if missing.
        max_pending: writers that may wait; one more is refused with ResourceExhausted DATABASE_BUSY.

    Raises:
        FailedPrecondition: DATA_IN_USE, another process owns the file; DATA_NOT_WRITABLE.
        DataLoss: DATABASE_CORRUPT, the file is no SQLite database.
    """

    def __init__(self, path: Path, *, max_pending: int = 1_000) -> None:
        self.path = path
        self.name = path.name
        self._max_pending = max_pending
        self._pending = 0
        self._owner = own(path)
        self._writer = _engine(path, connections=1, read_only=False)
        self._write_connection: Connection | None = None
        self._reader = _engine(path, connections=_READERS, read_only=True)
        self.engines = (self._writer, self._reader)
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-writer")
        self._read_threads = ThreadPoolExecutor(_READERS, thread_name_prefix=f"{path.stem}-reader")
        try:
            self.write_now(lambda connection: connection.exec_driver_sql("PRAGMA schema_version").scalar())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._write_thread.shutdown()
        self._read_threads.shutdown()
        if self._write_connection is not None:
            self._write_connection.close()
        self._reader.dispose()
        self._writer.dispose()
        os.close(self._owner)

    async def write(
        self, commit: Callable[[Connection], T], *, relaxed: bool = False, committed: Callable[[T], None] | None = None
    ) -> T:
        if self._pending >= self._max_pending:
            raise ResourceExhausted(
                "DATABASE_BUSY", f"{self._pending} writers wait for {self.path.name}", remedy="retry later", retry_after=0.1
            )
        loop = asyncio.get_running_loop()

        def carry_out() -> T:
            result = self._write(commit, relaxed)
            if committed is not None:
                loop.call_soon_threadsafe(committed, result)
            return result

        self._pending += 1
        try:
            return await loop.run_in_executor(self._write_thread, carry_out)
        finally:
            self._pending -= 1

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._read_threads, self._read, query)

    async def tend(self, job: Callable[[Connection], T], *, relaxed: bool = False) -> T:
        return await self.write(job, relaxed=relaxed)

    def write_now(self, commit: Callable[[Connection], T]) -> T:
        return self._write(commit, relaxed=False)

    def pools(self) -> Sequence[Pool]:
        writing = int(self._pending > 0)
        reading: Any = self._reader.pool  # its base class does not promise to count
        return (
            Pool(purpose="write", used=writing, idle=1 - writing, most=1),
            Pool(purpose="read", used=reading.checkedout(), idle=reading.checkedin(), most=reading.size()),
        )

    def _write(self, commit: Callable[[Connection], T], relaxed: bool) -> T:
        with _explained(self.path):
            connection = self._writing()
            driver: Any = connection.connection.driver_connection  # a pragma must come before SQLAlchemy's BEGIN
            if relaxed:
                driver.execute("PRAGMA synchronous = NORMAL")
            try:
                with connection.begin():
                    return commit(connection)
            finally:
                if relaxed:
                    driver.execute("PRAGMA synchronous = FULL")

    def _writing(self) -> Connection:
        """The one connection that writes, kept: taking it from the pool anew costs a tenth of a small commit."""
        if self._write_connection is None:
            self._write_connection = self._writer.connect()
        return self._write_connection

    def _read(self, query: Callable[[Connection], T]) -> T:
        with _explained(self.path), self._reader.connect() as connection, connection.begin():
            return query(connection)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Database errors as errors of the platform, naming the file."""
    try:
        yield
    except DBAPIError as error:
        raise translated(error, path.name) from error


def _engine(path: Path, *, connections: int, read_only: bool) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT_MS / 1_000},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # else the driver begins transactions of its own, deferred ones
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if read_only:
            connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    @event.listens_for(engine, "before_cursor_execute")
    def check(_connection: Any, _cursor: Any, _statement: str, given: Any, _context: Any, many: bool) -> None:
        for row in given if many else (given,):
            for value in row:
                if type(value) is str and "\0" in value:
                    raise not_storable()  # as PostgreSQL does, whose texts have no NUL

    return engine
