"""Backups of an area with its files, from either database to either: all of it comes back, or nothing does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import pytest

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.lmdb.online_store import open_online_store
from synapsenet.adapters.sql.backup import sqlite_snapshot
from synapsenet.adapters.sql.features import SqlFeaturesWork, metadata
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.errors import Aborted, DataLoss, FailedPrecondition, SynapseError
from synapsenet.features.mirror import CONSUMER
from synapsenet.features.options import OnlineOptions
from synapsenet.features.ports import OnlineStore, RowBatch
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.features import sample_group
from synapsenet_servers.bootstrap.area_files import AreaFiles
from synapsenet_servers.bootstrap.backups import Place, back_up, restore
from tests.contract.databases import KINDS, drop_schemas, schema_records, sqlite_records
from tests.contract.features.test_sql_features import add, training_set

AREA = "features"
CONTENT = b"the rows of a training set"
KEYS = [b"a", b"b", b"c"]
MIRRORED = ("fg-1/00000000000000000001-00000000000000000002.parquet", "fg-2/00000000000000000003-00000000000000000003.parquet")
LATER = "fg-1/00000000000000000004-00000000000000000005.parquet"

Opened = Callable[[], AbstractAsyncContextManager[SqlWork[SqlFeaturesWork]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A platform's features, on one kind of database."""

    place: Place
    records: Opened

    @property
    def folder(self) -> Path:
        return self.place.data / AREA

    def online(self) -> AbstractAsyncContextManager[OnlineStore]:
        return open_online_store(self.folder / "online", OnlineOptions())

    async def fill(self) -> None:
        """Give it a group, values of which the history has some, and a training set."""
        async with self.records() as work:
            await work.run(partial(add, group=sample_group()))
            artifacts = open_artifacts(self.place.data / "artifacts")
            stored = await artifacts.write(_once(CONTENT), limit=100)
            await work.run(partial(add, training_set=replace(training_set(1), sha256=stored.sha256)))
        async with self.online() as store:
            for number, key in enumerate(KEYS):
                await store.write(RowBatch(group_id="fg-1", keys=[key], rows=[bytes(40) + bytes([number])]))
            await store.checkpoint(CONSUMER)
            await store.mark(CONSUMER, 3)
        for name in (*MIRRORED, LATER):
            path = self.folder / "history" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())

    async def back_up(self, file: Path, *, records_only: bool = False) -> tuple[str, ...]:
        """The names of the files in it."""
        take = partial(back_up, AREA, self.place, file, clock=FakeClock(), records_only=records_only)
        manifest, _ = await asyncio.to_thread(take)
        return tuple(manifest.files)

    async def restore(self, file: Path) -> None:
        await asyncio.to_thread(restore, [file], self.place, clock=FakeClock())

    async def check(self) -> None:
        """See that it has what `fill` gave."""
        async with self.records() as work:
            assert await work.read(lambda tx: tx.groups.find("users")) == sample_group()
            found = await work.read(lambda tx: tx.training_sets.find("ts-1"))
        assert found is not None
        artifacts = open_artifacts(self.place.data / "artifacts")
        assert b"".join([piece async for piece in artifacts.read(found.sha256)]) == CONTENT
        async with self.online() as store:
            assert await store.read([("fg-1", KEYS)]) == [[bytes(40) + bytes([number]) for number in range(3)]]
            assert (await store.newest(), await store.checkpoint(CONSUMER)) == (3, 3)
        history = self.folder / "history"
        assert {path.relative_to(history).as_posix() for path in history.glob("*/*")} == set(MIRRORED)
        assert all((history / name).read_bytes() == name.encode() for name in MIRRORED)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.fixture
def stage(bare_postgres: PostgresOptions, tmp_path: Path) -> Callable[[str, str], Stage]:
    """Makes the stage of a kind of database in a folder of that name; of all PostgreSQL ones one has the schema."""

    def made(kind: str, name: str) -> Stage:
        data = tmp_path / name
        (data / AREA).mkdir(parents=True, exist_ok=True)
        stored = sqlite_records(data / AREA) if kind == "sqlite" else schema_records(bare_postgres, data)
        opened = partial(stored, AREA, metadata=metadata, unit=SqlFeaturesWork, clock=FakeClock())
        return Stage(place=Place(data=data, postgres=None if kind == "sqlite" else bare_postgres), records=opened)

    return made


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
async def test_what_a_backup_has_comes_back_on_either_database(
    source: str, target: str, stage: Callable[[str, str], Stage], bare_postgres: PostgresOptions, tmp_path: Path
) -> None:
    first, file = stage(source, "first"), tmp_path / "features.backup"
    await first.fill()
    assert set(await first.back_up(file)) >= {"online/data.mdb", *(f"history/{name}" for name in MIRRORED)}
    drop_schemas(bare_postgres)
    second = stage(target, "second")
    await second.restore(file)
    await second.check()
    with pytest.raises(FailedPrecondition) as refusal:
        await second.restore(file)
    assert refusal.value.reason == "RESTORE_NOT_EMPTY"
    await second.check()


@pytest.mark.parametrize("member", ["online/data.mdb", f"history/{MIRRORED[1]}", "artifacts/"])
async def test_a_file_that_was_changed_is_refused_by_name_and_nothing_is_left(
    member: str, stage: Callable[[str, str], Stage], tmp_path: Path
) -> None:
    first, second = stage("sqlite", "first"), stage("sqlite", "second")
    file, damaged = tmp_path / "features.backup", tmp_path / "damaged.backup"
    await first.fill()
    names = await first.back_up(file)
    wanted = next(name for name in names if name.startswith(member))
    with ZipFile(file) as whole, ZipFile(damaged, "w") as other:
        for name in whole.namelist():
            other.writestr(name, whole.read(name)[:-1] + b"?" if name == wanted else whole.read(name))
    with pytest.raises(DataLoss, match=wanted) as refusal:
        await second.restore(damaged)
    assert refusal.value.reason == "BACKUP_CORRUPT"
    assert list(second.folder.iterdir()) == []
    await second.restore(file)
    await second.check()


@pytest.mark.parametrize("kind", KINDS)
async def test_values_of_another_platform_are_never_mixed_with_a_backup(
    kind: str, stage: Callable[[str, str], Stage], bare_postgres: PostgresOptions, tmp_path: Path
) -> None:
    first, second, file = stage(kind, "first"), stage(kind, "second"), tmp_path / "features.backup"
    await first.fill()
    await first.back_up(file)
    drop_schemas(bare_postgres)
    async with second.online() as store:
        await store.write(RowBatch(group_id="fg-9", keys=[b"z"], rows=[bytes(41)]))
    with pytest.raises(FailedPrecondition, match="online") as refusal:
        await second.restore(file)
    assert refusal.value.reason == "RESTORE_NOT_EMPTY"
    async with second.online() as store:
        assert await store.read([("fg-9", [b"z"])]) == [[bytes(41)]]


async def test_a_group_that_is_deleted_meanwhile_is_noticed(stage: Callable[[str, str], Stage]) -> None:
    first = stage("sqlite", "first")
    await first.fill()
    files = AreaFiles(AREA, first.place.files(), clock=FakeClock())
    with sqlite_snapshot(first.place.file(AREA)) as snapshot:
        snapshot(files.look)
        snapshot(files.check)
        async with first.records() as work:
            await work.run(lambda tx: tx.groups.delete("fg-1"))
        with pytest.raises(Aborted) as refusal:
            snapshot(files.check)
    assert refusal.value.reason == "BACKUP_OVERTAKEN"


async def test_a_file_that_is_not_there_is_told_and_the_records_can_be_saved_alone(
    stage: Callable[[str, str], Stage], tmp_path: Path
) -> None:
    first, file = stage("sqlite", "first"), tmp_path / "features.backup"
    await first.fill()
    (artifact,) = (path for path in (first.place.data / "artifacts").rglob("*") if path.is_file())
    for missing, reason in ((artifact, "ARTIFACT_LOST"), (first.folder / "online" / "data.mdb", "ONLINE_STORE_UNREADABLE")):
        missing.unlink()
        with pytest.raises(SynapseError) as refusal:
            await first.back_up(file)
        assert refusal.value.reason == reason
        assert list(tmp_path.glob("*backup*")) == []
    assert await first.back_up(file, records_only=True) == ()
