"""Backups: taken beside writers, restored to either database, whole or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import pytest

from synapsenet.adapters.sql.archive import Manifest
from synapsenet.adapters.sql.backup import Snapshot, restore_sqlite, sqlite_snapshot, take
from synapsenet.adapters.sql.postgres_backup import postgres_snapshot, restore_postgres
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.errors import DataLoss, FailedPrecondition, NotFound
from synapsenet.platform.work import Request
from synapsenet.testing.clock import NOON
from synapsenet.testing.work import Entry, Ledger, booking, positioned
from tests.contract.databases import KINDS, OpenRecords, drop_schemas, schema_records, sqlite_records
from tests.contract.sql.ledger import AREA, REVISIONS, open_ledger_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A database that can be backed up, restored to and opened."""

    records: OpenRecords
    snapshot: Callable[[], AbstractContextManager[Snapshot]]
    restore: Callable[[Path], Manifest]
    clear: Callable[[], None]


def kind_of(name: str, folder: Path, options: PostgresOptions) -> Kind:
    if name == "postgres":
        return Kind(
            records=schema_records(options, folder),
            snapshot=partial(postgres_snapshot, AREA, options),
            restore=lambda file: restore_postgres(file, options, revisions=REVISIONS),
            clear=partial(drop_schemas, options),
        )
    path = folder / f"{AREA}.sqlite"

    def clear() -> None:
        for left in folder.glob(f"{path.name}*"):
            left.unlink()

    return Kind(
        records=sqlite_records(folder),
        snapshot=partial(sqlite_snapshot, path),
        restore=lambda file: restore_sqlite(file, path, revisions=REVISIONS),
        clear=clear,
    )


@pytest.fixture
def kinds(bare_postgres: PostgresOptions, tmp_path: Path) -> dict[str, Kind]:
    return {name: kind_of(name, tmp_path, bare_postgres) for name in KINDS}


def backed_up(kind: Kind, file: Path) -> tuple[Manifest, str]:
    with kind.snapshot() as snapshot:
        return take(AREA, snapshot, file, now=NOON)


async def fill(ledger: Ledger) -> None:
    for number in range(20):
        await ledger.run(booking(f"{number:03}", number))
    await ledger.run(lambda tx: tx.remember(Request("request", b"digest"), b"answer"))
    await positioned(ledger, 20)


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
async def test_what_was_backed_up_goes_on_where_it_is_restored(
    source: str, target: str, kinds: dict[str, Kind], tmp_path: Path
) -> None:
    file = tmp_path / "ledger.backup"
    async with open_ledger_on(kinds[source].records) as ledger:
        await fill(ledger)
        events = await ledger.feed.read(after=0, limit=100)
        manifest, digest = await asyncio.to_thread(backed_up, kinds[source], file)
    assert (manifest.area, manifest.revision, manifest.newest, len(digest)) == (AREA, "0003", 20, 64)
    kinds[source].clear()
    kinds[target].clear()
    assert kinds[target].restore(file).newest == 20
    async with open_ledger_on(kinds[target].records) as ledger:
        assert [entry.amount for entry in await ledger.read(lambda tx: tx.entries.all())] == list(range(20))
        assert await ledger.feed.read(after=0, limit=100) == events
        assert await ledger.read(lambda tx: tx.earlier(Request("request", b"digest"))) == b"answer"
        await ledger.run(lambda tx: tx.entries.add(Entry(id="after", amount=1)))
        await ledger.run(booking("also after"))
        assert (await positioned(ledger, 1, after=20))[0].aggregate == "entry/also after"


@pytest.mark.parametrize("name", KINDS)
async def test_a_backup_beside_writers_is_of_one_instant(name: str, kinds: dict[str, Kind], tmp_path: Path) -> None:
    file, over = tmp_path / "ledger.backup", asyncio.Event()

    async def write() -> None:
        number = 0
        while not over.is_set():
            await ledger.run(booking(f"{number:05}", number))
            number += 1

    async with open_ledger_on(kinds[name].records) as ledger:
        writing = asyncio.create_task(write())
        await positioned(ledger, 5)
        manifest, _ = await asyncio.to_thread(backed_up, kinds[name], file)
        over.set()
        await writing
    assert manifest.rows["entries"] == manifest.rows["outbox"] == manifest.rows["aggregates"] >= manifest.newest
    with ZipFile(file) as archive:
        _, *entries = [json.loads(line) for line in archive.read("entries.jsonl").splitlines()]
    assert [amount for _, amount in entries] == list(range(len(entries)))


@pytest.mark.parametrize("name", KINDS)
async def test_a_restore_over_records_is_refused_and_leaves_them(name: str, kinds: dict[str, Kind], tmp_path: Path) -> None:
    kind, file = kinds[name], tmp_path / "ledger.backup"
    async with open_ledger_on(kind.records) as ledger:
        await fill(ledger)
        await asyncio.to_thread(backed_up, kind, file)
    with pytest.raises(FailedPrecondition) as refusal:
        kind.restore(file)
    assert refusal.value.reason == "RESTORE_NOT_EMPTY"
    with pytest.raises(FailedPrecondition) as taken:
        backed_up(kind, file)
    assert taken.value.reason == "BACKUP_EXISTS"
    async with open_ledger_on(kind.records) as ledger:
        assert len(await ledger.read(lambda tx: tx.entries.all())) == 20


@pytest.mark.parametrize("name", KINDS)
async def test_a_damaged_backup_is_refused_by_name_and_leaves_nothing(
    name: str, kinds: dict[str, Kind], tmp_path: Path
) -> None:
    kind, file, damaged = kinds[name], tmp_path / "ledger.backup", tmp_path / "damaged.backup"
    async with open_ledger_on(kind.records) as ledger:
        await fill(ledger)
        await asyncio.to_thread(backed_up, kind, file)
    kind.clear()
    with ZipFile(file) as whole, ZipFile(damaged, "w") as other:
        for member in whole.namelist():
            data = whole.read(member)
            other.writestr(member, data.replace(b"003", b"033") if member == "entries.jsonl" else data)
    for broken, error, reason in (
        (damaged, DataLoss, "BACKUP_CORRUPT"),
        (Path(__file__), DataLoss, "BACKUP_CORRUPT"),
        (tmp_path / "nowhere", NotFound, "BACKUP_MISSING"),
    ):
        with pytest.raises(error) as refusal:
            kind.restore(broken)
        assert refusal.value.reason == reason
    assert kind.restore(file).newest == 20
