"""What coordinators of these tests keep their records and locks in: files, PostgreSQL, or PostgreSQL and etcd."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import open_session
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.postgres_server import open_postgres, postgres_records
from synapsenet.adapters.sql.retention import Retention
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.clock import SystemClock
from synapsenet.ids import RandomIds
from synapsenet.platform.locks import Locks
from tests.contract.databases import in_background, schema_records, sqlite_records

CLOCK = SystemClock()
AREA = "lifecycle"
SESSION_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a process finds its records and the others.

    Attributes:
        folder: for files, and the participants' socket.
        postgres: the database of the coordinators; empty: SQLite in the folder, for one of them.
        etcd: where they take their locks, several after commas; empty: a file, for one of them.
        password: the file with the database's password, where it is reached by TCP.
        kafka: the broker that a relay passes the events on to; empty: there is none.
    """

    folder: Path
    postgres: str = ""
    etcd: str = ""
    password: str = ""
    kafka: str = ""

    @property
    def socket(self) -> str:
        return f"unix:{self.folder / 'steps.sock'}"


@asynccontextmanager
async def opened(places: Places) -> AsyncIterator[tuple[SqlWork[SqlLifecycleWork], Locks]]:
    """A coordinator's records and locks, inside an `async with`."""
    async with AsyncExitStack() as stack:
        if places.etcd:
            yield await _cluster(places, stack)
            return
        records = schema_records(PostgresOptions(url=places.postgres), places.folder)
        if not places.postgres:
            records = sqlite_records(places.folder)
        work = await stack.enter_async_context(records(AREA, metadata=metadata, unit=SqlLifecycleWork, clock=CLOCK))
        coordination = await stack.enter_async_context(open_coordination(places.folder / "coordination.sqlite"))
        yield work, SqlLocks(coordination, CLOCK)


async def _cluster(places: Places, stack: AsyncExitStack) -> tuple[SqlWork[SqlLifecycleWork], Locks]:
    # One that hangs inside holds up all.
    bounded = PostgresOptions(url=places.postgres, password_file=places.password, statement_s=2.0, transaction_s=3.0)
    server = await stack.enter_async_context(open_postgres(bounded, CLOCK))
    options = EtcdOptions(endpoints=tuple(places.etcd.split(",")), session_ttl_s=SESSION_S, attempt_s=0.5, call_s=1.0)
    session = await stack.enter_async_context(open_session(options, clock=CLOCK, epochs=server.epochs))
    records = postgres_records(
        server,
        locks=EtcdLocks(session),
        holder=str(os.getpid()),
        event_ids=RandomIds("event"),
        background=await stack.enter_async_context(in_background()),
        retention=Retention(relayed=bool(places.kafka)),
    )
    return await stack.enter_async_context(records(AREA, metadata=metadata, unit=SqlLifecycleWork)), EtcdLocks(session)
