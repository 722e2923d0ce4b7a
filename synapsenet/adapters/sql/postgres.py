"""One schema of a PostgreSQL database: an area's units of work in turn, snapshot readers beside them.

An advisory lock that a transaction holds to its end gives each unit of work its turn, whichever process it comes from; so it
sees all before it and none beside it, as on SQLite. (SERIALIZABLE promises the same and has small tables' transactions fail:
measured, more failed than succeeded from four writers on.) The lock comes in one round trip with BEGIN.

A process that hangs in the middle of its turn, stopped or starved, has it taken back by the server after `idle_s`: else all
others would wait for as long as the slowest transaction may take.

When the connection breaks during COMMIT, nobody has said whether it was carried out: a mark that the transaction left tells,
looked for on another connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from synapsenet.adapters.sql.commit_marks import CommitMarks
from synapsenet.adapters.sql.database import Database, Pool
from synapsenet.adapters.sql.lane import Lane, Session
from synapsenet.adapters.sql.lock_keys import lock_key
from synapsenet.adapters.sql.postgres_failures import away, is_away, translated_postgres
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.errors import FailedPrecondition, Internal, Unavailable

T = TypeVar("T")

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PAUSE_S = 0.05
_PROBES = 127  # a second apart; the kernel takes no more


class PostgresDatabase(Database):
    """An area's schema.

    Raises:
        Unavailable: DATABASE_UNAVAILABLE; COMMIT_UNKNOWN, a commit was sent and nobody could tell what became of it.
        FailedPrecondition: DATABASE_LOGIN_REFUSED, DATABASE_UNKNOWN, DATA_NOT_WRITABLE.
        ResourceExhausted: DATABASE_BUSY, DATABASE_CONNECTIONS_EXHAUSTED, STORAGE_FULL.
        DeadlineExceeded: DATABASE_SLOW.
    """

    def __init__(self, area: str, options: PostgresOptions) -> None:
        self.name = area
        self._options = options
        self._beside = f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = {round(options.idle_s * 1_000)}"
        self._turn = f"{self._beside}; SELECT pg_advisory_xact_lock({lock_key('work', area)})"
        self._marks, self._tending_marks = CommitMarks(area, "work"), CommitMarks(area, "tend")
        engine = self._engine = _engine(area, options)
        self.engines = (engine,)

        def lane(size: int) -> Lane:
            return Lane(engine, name=area, size=size, wait_s=options.wait_s, job_s=options.transaction_s)

        self._writing, self._tending, self._reading = lane(1), lane(1), lane(options.readers)

    def close(self) -> None:
        for lane in (self._writing, self._tending, self._reading):
            lane.close()

    async def write(
        self, commit: Callable[[Connection], T], *, relaxed: bool = False, committed: Callable[[T], None] | None = None
    ) -> T:
        loop = asyncio.get_running_loop()

        def carry_out(session: Session) -> T:
            result = self._commit(session, self._turn, commit, relaxed=relaxed, marks=self._marks)
            if committed is not None:
                loop.call_soon_threadsafe(committed, result)
            return result

        return await self._writing.run(carry_out)

    async def tend(self, job: Callable[[Connection], T], *, relaxed: bool = False) -> T:
        marks = self._tending_marks
        return await self._tending.run(lambda session: self._commit(session, self._beside, job, relaxed=relaxed, marks=marks))

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self._reading.run(lambda session: self._read(session, query))

    def pools(self) -> Sequence[Pool]:
        return (self._writing.pool("write"), self._tending.pool("tend"), self._reading.pool("read"))

    def write_now(self, commit: Callable[[Connection], T]) -> T:
        with self._alone() as session:
            return self._commit(session, self._turn, commit)

    def read_now(self, query: Callable[[Connection], T]) -> T:
        """`query` on one snapshot, on the calling thread."""
        with self._alone() as session:
            return self._read(session, query)

    def prepare(self, commit: Callable[[Connection], T]) -> T:
        """`commit` as the only one of its kind among all processes, without limits of time: for migrations."""
        key = lock_key("migrations", self.name)
        patient = f"BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({key})"
        with self._alone() as session:
            return self._commit(session, patient, commit)

    @contextmanager
    def _alone(self) -> Iterator[Session]:
        session = Session(self._engine)
        try:
            yield session
        finally:
            session.drop()

    def _read(self, session: Session, query: Callable[[Connection], T]) -> T:
        with self._explained(session):
            connection = self._begun(session, _SNAPSHOT)
            with connection.begin():
                return query(connection)

    def _commit(
        self,
        session: Session,
        begin: str,
        commit: Callable[[Connection], T],
        *,
        relaxed: bool = False,
        marks: CommitMarks | None = None,
    ) -> T:
        with self._explained(session):
            connection = self._begun(session, begin, marks)
            with connection.begin() as running:
                if relaxed:
                    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                result = commit(connection)
                if session.driver.info.transaction_status == TransactionStatus.INERROR:
                    raise Internal("DATABASE_ERROR", f"a unit of work of {self.name} went on after a statement had failed")
                try:
                    running.commit()
                except DBAPIError as error:
                    if not is_away(error):
                        raise
                    session.drop()
                    self._find_out(marks, error)
            return result

    def _begun(self, session: Session, begin: str, marks: CommitMarks | None = None) -> Connection:
        """The connection with a transaction that `begin` began.

        A kept connection may have been broken while nobody used it: then there is one attempt on a new one.
        """
        try:
            return _begin(session, begin, marks)
        except psycopg.errors.UndefinedTable:
            if marks is None:
                raise
            marks.make_again()  # what keeps them was dropped, with the database that was there before
        except (psycopg.Error, DBAPIError) as error:
            if not is_away(error):
                raise
        session.drop()
        return _begin(session, begin, marks)

    def _find_out(self, marks: CommitMarks | None, error: DBAPIError) -> None:
        """Return if the last transaction of `marks` was committed, whose connection broke on the way.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE, it was not; COMMIT_UNKNOWN, that could not be found out.
        """
        until = time.monotonic() + self._options.outcome_s
        while marks is not None and time.monotonic() < until:
            try:
                with connect(self._options, self.name) as probe:
                    committed = marks.is_committed(probe)
            except psycopg.Error:
                time.sleep(_PAUSE_S)  # it is away, or the transaction is not over
                continue
            if committed:
                return
            raise away(self.name, str(error)) from error
        raise Unavailable(
            "COMMIT_UNKNOWN",
            f"the connection to the database of {self.name} broke during a commit",
            remedy="retry with the same request id: what was carried out is answered again, not done twice",
            retry_after=1.0,
            secret=str(error),
        ) from error

    @contextmanager
    def _explained(self, session: Session) -> Iterator[None]:
        """Database errors as errors of the platform; a connection that is no good any more is given up."""
        try:
            yield
        except (psycopg.Error, DBAPIError) as error:
            session.drop()
            raise translated_postgres(error, self.name) from error


def connect(options: PostgresOptions, area: str) -> psycopg.Connection[Any]:
    """A connection of the driver's own to the schema of `area`, each statement a transaction unless one is begun.

    Raises:
        psycopg.Error: as the server or the network have it.
        FailedPrecondition: PASSWORD_UNREADABLE.
    """
    return psycopg.connect(options.url, autocommit=True, **parameters(options, area))


def parameters(options: PostgresOptions, area: str) -> dict[str, Any]:
    """What a connection to `area`'s schema is made with, beside the URL."""
    alive = _alive(options.silence_s)
    settings = {
        "search_path": area,
        "statement_timeout": round(options.statement_s * 1_000),
        "lock_timeout": round(options.wait_s * 1_000),
        "idle_in_transaction_session_timeout": round(options.transaction_s * 1_000),
        "synchronous_commit": "on",
        "timezone": "UTC",
        "client_min_messages": "warning",
        **{f"tcp_{name.removeprefix('tcp_')}": value for name, value in alive.items()},
    }
    found: dict[str, Any] = {
        **alive,
        "connect_timeout": round(options.connect_s),
        "application_name": f"synapsenet {area}",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
    if options.password_file:
        found["password"] = _password(options.password_file)
    return found


def _alive(silence_s: float) -> dict[str, int]:
    """What has the kernel see within that time that the other machine is gone, as libpq calls it; the server puts `tcp_` first.

    Else a server would wait for minutes for the next statement of a transaction, and all writers for its end.
    """
    whole = max(2, round(silence_s))
    probes = min(_PROBES, whole - whole // 2)
    return {
        "keepalives_idle": whole - probes,
        "keepalives_interval": 1,
        "keepalives_count": probes,
        "tcp_user_timeout": whole * 1_000,
    }


def _password(file: str) -> str:
    try:
        return Path(file).read_text("utf-8").strip()
    except OSError as error:
        raise FailedPrecondition(
            "PASSWORD_UNREADABLE",
            f"the file of postgres.password_file cannot be read ({error.strerror})",
            remedy="correct its path or its permissions",
            secret=file,
        ) from error


def _engine(area: str, options: PostgresOptions) -> Engine:
    """Connections with each statement as it stands: transactions are begun by hand, several statements a round trip."""
    return create_engine("postgresql+psycopg://", creator=lambda: connect(options, area), poolclass=NullPool)


def _begin(session: Session, begin: str, marks: CommitMarks | None) -> Connection:
    connection = session.connection()
    statement = begin if marks is None else f"{begin}; {marks.put(session.driver)}"
    with session.driver.cursor() as cursor:
        cursor.execute(statement)
    return connection
