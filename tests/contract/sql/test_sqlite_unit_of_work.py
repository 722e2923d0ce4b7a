"""The unit-of-work suite over SQLite, and what only a file can do: be damaged, taken, full or of another release."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from synapsenet.errors import DataLoss, FailedPrecondition
from synapsenet.testing.work import Entry, Ledger, LedgerWork, UnitOfWorkContract, book, positioned
from tests.contract.sql.ledger import open_ledger

ROOT = Path(__file__).resolve().parents[3]

# Commits entries for ever and prints the number of each one after its commit returned.
WRITER = """
import asyncio, sys
from pathlib import Path
from synapsenet.testing.work import Entry, book
from tests.contract.sql.ledger import open_ledger

async def main():
    async with open_ledger(Path(sys.argv[1])) as ledger:
        for number in range(10**6):
            await ledger.run(lambda tx: book(tx, Entry(id=f"{number:06}", amount=number)))
            print(number, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    async with open_ledger(path) as opened:
        yield opened


class TestSqliteUnitOfWork(UnitOfWorkContract):
    """The shared suite."""


async def test_every_acknowledged_commit_survives_kill_9_and_the_event_log_stays_gapless(path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout]
    async with open_ledger(path) as ledger:
        stored = [entry.amount for entry in await ledger.read(lambda tx: tx.entries.all())]
        assert stored[: len(acknowledged)] == acknowledged
        events = await positioned(ledger, min(len(stored), 20), after=max(0, len(stored) - 20))
        assert [event.aggregate for event in events] == [f"entry/{amount:06}" for amount in stored[-20:]]


async def test_a_second_owner_is_refused_with_the_process_that_has_the_file(ledger: Ledger, path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=f"in use by process {os.getpid()}") as refusal:
        async with open_ledger(path):
            pytest.fail("two owned one file")
    assert refusal.value.reason == "DATA_IN_USE"


async def test_a_file_that_is_no_database_is_refused_by_name_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"this is no database" * 400)
    with pytest.raises(DataLoss, match=r"ledger\.sqlite is damaged") as refusal:
        async with open_ledger(path):
            pytest.fail("a damaged file was opened")
    assert refusal.value.reason == "DATABASE_CORRUPT"
    assert path.read_bytes() == b"this is no database" * 400


async def test_a_newer_schema_is_refused_by_name(path: Path) -> None:
    async with open_ledger(path):
        pass
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    engine.dispose()
    with pytest.raises(FailedPrecondition, match="has schema 0099, this release knows up to 0003") as refusal:
        async with open_ledger(path):
            pytest.fail("a newer schema was opened")
    assert refusal.value.reason == "SCHEMA_NEWER"


async def test_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FailedPrecondition) as refusal:
        async with open_ledger(tmp_path / "file" / "ledger.sqlite"):
            pytest.fail("a file was taken for a folder")
    assert refusal.value.reason == "DATA_NOT_WRITABLE"


async def test_readers_go_on_while_a_writer_is_inside_its_transaction(ledger: Ledger) -> None:
    await ledger.run(lambda tx: book(tx, Entry(id="a", amount=1)))
    loop = asyncio.get_running_loop()
    read = asyncio.Event()
    inside = asyncio.Event()

    def slow(tx: object) -> None:
        loop.call_soon_threadsafe(inside.set)
        asyncio.run_coroutine_threadsafe(read.wait(), loop).result(10)

    writing = asyncio.create_task(ledger.run(slow))
    await inside.wait()
    assert len(await ledger.read(lambda tx: tx.entries.all())) == 1
    read.set()
    await writing


async def test_watchers_hear_of_a_commit_whose_caller_has_given_up(ledger: Ledger) -> None:
    loop = asyncio.get_running_loop()
    inside, given_up = asyncio.Event(), threading.Event()

    def slow(tx: LedgerWork) -> None:
        loop.call_soon_threadsafe(inside.set)
        assert given_up.wait(10)
        book(tx, Entry(id="a", amount=1))

    watching = asyncio.create_task(positioned(ledger, 1))
    writing = asyncio.create_task(ledger.run(slow))
    await inside.wait()
    for _ in range(3):  # so that the watcher has seen the empty log and waits
        assert await ledger.feed.read(after=0, limit=1) == []
    writing.cancel()
    await asyncio.wait([writing])
    given_up.set()
    assert [event.aggregate for event in await watching] == ["entry/a"]
