"""What processes on one PostgreSQL can rely on: one sequencer, one migration, and a clear word when it cannot be had."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.postgres_server import open_postgres, open_schema, postgres_records
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.clock import SystemClock
from synapsenet.errors import FailedPrecondition, ResourceExhausted, SynapseError, Unavailable
from synapsenet.ids import RandomIds
from synapsenet.platform.locks import Locks
from synapsenet.testing.work import appending, booking, positioned
from tests.contract.databases import in_background
from tests.contract.sql.ledger import AREA, RETENTION, REVISIONS, SqlLedgerWork, metadata
from tests.postgres_server import RunningPostgres

ROOT = Path(__file__).resolve().parents[3]

# Brings every area's schema up, as a process that starts does.
STARTER = """
import asyncio, sys
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.postgres_server import open_schema

async def main():
    sys.stdin.readline()
    for area in ("models", "registry", "experiments"):
        async with open_schema(area, PostgresOptions(url=sys.argv[1])):
            pass

asyncio.run(main())
"""


@asynccontextmanager
async def process(
    options: PostgresOptions, locks: Locks, name: str, notices: bool = True
) -> AsyncIterator[SqlWork[SqlLedgerWork]]:
    """The ledger as one of several processes has it; without `notices` it hears nothing from the others."""
    async with open_postgres(options, SystemClock()) as server, in_background() as background:

        def start(task: str, run: Callable[[], Awaitable[None]]) -> None:
            if notices or not task.startswith("notices"):
                background(task, run)

        records = postgres_records(
            server,
            locks=locks,
            holder=name,
            event_ids=RandomIds("event"),
            background=start,
            retention=RETENTION,
            revisions=REVISIONS,
        )
        async with records(AREA, metadata=metadata, unit=SqlLedgerWork) as work:
            yield work


@pytest.fixture
async def leases(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_coordination(tmp_path / "leases.sqlite") as opened:
        yield opened


@pytest.fixture
def locks(leases: Database) -> Locks:
    return SqlLocks(leases, SystemClock())


async def test_a_process_that_does_not_lead_has_its_events_positioned_and_hears_of_all(
    postgres_options: PostgresOptions, locks: Locks
) -> None:
    async with process(postgres_options, locks, "one") as one:
        await one.run(booking("from one"))
        await positioned(one, 1)
        async with process(postgres_options, locks, "other") as other:
            watching = asyncio.create_task(positioned(other, 3))
            await other.run(booking("from other"))
            await one.run(booking("from one again"))
            seen = [event.aggregate for event in await watching]
            assert seen == ["entry/from one", "entry/from other", "entry/from one again"]


async def test_the_next_process_leads_when_the_one_that_led_is_gone_and_positions_go_on(
    postgres_options: PostgresOptions, locks: Locks
) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(process(postgres_options, locks, "one"))
        await one.run(booking("first"))
        await positioned(one, 1)
        async with process(postgres_options, locks, "other") as other:
            await stack.aclose()
            await other.run(booking("second"))
            events = await positioned(other, 2)
            assert [(event.position, event.aggregate) for event in events] == [(1, "entry/first"), (2, "entry/second")]


async def test_a_sequencer_that_a_newer_one_has_followed_gives_no_positions_any_more(
    postgres_options: PostgresOptions, locks: Locks
) -> None:
    async with process(postgres_options, locks, "former") as former:
        await former.run(booking("first"))
        await positioned(former, 1)
        with psycopg.connect(postgres_options.url, autocommit=True) as newer:
            newer.execute(f"UPDATE {AREA}.log_bounds SET fence = 1000000".encode())
            await former.run(booking("second"))
            await asyncio.sleep(0.3)
            assert await former.feed.newest() == 1
            newer.execute(f"UPDATE {AREA}.log_bounds SET fence = 0".encode())
        assert [event.position for event in await positioned(former, 2)] == [1, 2]


async def test_an_aggregates_order_holds_whichever_process_writes(postgres_options: PostgresOptions, locks: Locks) -> None:
    async with process(postgres_options, locks, "one") as one, process(postgres_options, locks, "other") as other:

        async def append(work: SqlWork[SqlLedgerWork]) -> None:
            for _ in range(20):
                await work.run(appending("entry/shared"))

        await asyncio.gather(append(one), append(other))
        events = await positioned(one, 40)
        assert [event.sequence for event in events] == list(range(1, 41))


async def test_events_get_positions_though_nobody_hears_notices(postgres_options: PostgresOptions, locks: Locks) -> None:
    async with (
        process(postgres_options, locks, "leader", notices=False) as leader,
        process(postgres_options, locks, "deaf", notices=False) as deaf,
    ):
        await leader.run(booking("first"))
        await positioned(leader, 1)
        await deaf.run(booking("second"))
        assert len(await positioned(leader, 2)) == 2


def test_processes_that_start_at_once_migrate_once(bare_postgres: PostgresOptions) -> None:
    command = [sys.executable, "-c", STARTER, bare_postgres.url]
    starters = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=dict(os.environ), text=True)
        for _ in range(3)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    said = [starter.communicate(timeout=60)[1] for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0], said
    with psycopg.connect(bare_postgres.url) as connection:
        assert connection.execute("SELECT count(*) FROM models.alembic_version").fetchone() == (1,)


async def test_a_newer_schema_is_refused_by_name(postgres_options: PostgresOptions) -> None:
    async with open_schema("models", postgres_options):
        pass
    with psycopg.connect(postgres_options.url, autocommit=True) as connection:
        row = connection.execute("SELECT version_num FROM models.alembic_version").fetchone()
        assert row is not None
        connection.execute("UPDATE models.alembic_version SET version_num = '0099'")
        try:
            with pytest.raises(FailedPrecondition, match="has schema 0099, this release knows up to") as refusal:
                async with open_schema("models", postgres_options):
                    pytest.fail("a newer schema was opened")
        finally:
            connection.execute("UPDATE models.alembic_version SET version_num = %s", row)
    assert refusal.value.reason == "SCHEMA_NEWER"


async def refused(options: PostgresOptions) -> SynapseError:
    with pytest.raises(SynapseError) as refusal:
        async with open_postgres(options, SystemClock()):
            pytest.fail("it was opened")
    assert "secret-word" not in refusal.value.public
    return refusal.value


async def test_a_server_that_cannot_be_had_is_told_in_one_sentence_without_the_password(
    running_postgres: RunningPostgres, postgres_options: PostgresOptions, tmp_path: Path
) -> None:
    with psycopg.connect(postgres_options.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS crowd")
        connection.execute("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0")
    wrong = tmp_path / "password"
    wrong.write_text("secret-word\n")
    tcp = f"postgresql://synapsenet@127.0.0.1:{running_postgres.port}/synapsenet"
    socket = postgres_options.url
    cases: list[tuple[PostgresOptions, type[SynapseError], str]] = [
        (PostgresOptions(url=tcp, password_file=str(wrong)), FailedPrecondition, "DATABASE_LOGIN_REFUSED"),
        (PostgresOptions(url=tcp), FailedPrecondition, "DATABASE_LOGIN_REFUSED"),
        (PostgresOptions(url=tcp, password_file=str(tmp_path / "none")), FailedPrecondition, "PASSWORD_UNREADABLE"),
        (PostgresOptions(url=socket.replace("/synapsenet?", "/none?")), FailedPrecondition, "DATABASE_UNKNOWN"),
        (PostgresOptions(url=socket.replace("synapsenet@", "crowd@")), ResourceExhausted, "DATABASE_CONNECTIONS_EXHAUSTED"),
        (PostgresOptions(url="postgresql://synapsenet@127.0.0.1:9/synapsenet"), Unavailable, "DATABASE_UNAVAILABLE"),
    ]
    for options, kind, reason in cases:
        error = await refused(options)
        assert (type(error), error.reason) == (kind, reason), error.secret
        assert error.remedy


async def test_what_asks_for_a_connection_after_the_end_is_told_that_there_is_none(
    postgres_options: PostgresOptions, locks: Locks
) -> None:
    async with process(postgres_options, locks, "one") as work:
        pass
    with pytest.raises(Unavailable) as refusal:
        await work.run(booking("late"))
    assert refusal.value.reason == "DATABASE_UNAVAILABLE"
