"""A writer that hangs in the middle of its turn: others have theirs soon, and nothing of what it wrote is there."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.testing.work import Entry, book
from synapsenet_servers.bootstrap.cluster import database_options
from synapsenet_servers.config import Config
from tests.chaos.conftest import Tell
from tests.contract.databases import drop_schemas, schema_records
from tests.contract.sql.ledger import open_ledger_on
from tests.postgres_server import RunningPostgres, postgres_server

IDLE_S = 1.0
DEADLINE_S = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[RunningPostgres]:
    with postgres_server() as running:
        drop_schemas(PostgresOptions(url=running.url))
        yield running


@asynccontextmanager
async def hung_writer(server: RunningPostgres, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has its turn and hangs, ended with the `async with`."""
    folder.mkdir()
    words = ["-m", "tests.chaos.cluster.hung_writer", server.url, str(IDLE_S), str(folder)]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE, env=dict(os.environ))
    try:
        assert await said(process) == "inside"
        yield process
    finally:
        process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        return (await process.stdout.readline()).decode().strip()


async def test_the_turn_of_a_writer_that_hangs_is_free_soon_and_its_transaction_is_gone(
    server: RunningPostgres, tmp_path: Path, tell: Tell
) -> None:
    async with open_ledger_on(schema_records(PostgresOptions(url=server.url), tmp_path)) as ledger:
        async with hung_writer(server, tmp_path / "zombie") as zombie:
            began = time.monotonic()
            await ledger.run(lambda tx: book(tx, Entry(id="heir", amount=1)))
            waited = time.monotonic() - began
            assert waited < IDLE_S + 1.0
            zombie.send_signal(signal.SIGCONT)
            assert await said(zombie) == "DATABASE_UNAVAILABLE"
        stored = [entry.id for entry in await ledger.read(lambda tx: tx.entries.all())]
        assert stored == ["heir"]
        tell(f"a writer hangs in its turn (SIGSTOP): the next one has its own after {waited:.1f} s", lost_writes=0)


def test_a_hung_coordinator_loses_its_turn_no_later_than_its_lease() -> None:
    assert database_options(Config(lifecycle=LifecycleOptions(lease_s=1.5))).idle_s == 1.5
    assert database_options(Config()).idle_s == PostgresOptions().idle_s < LifecycleOptions().lease_s
