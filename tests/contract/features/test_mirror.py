"""The mirror over the real stores: once each, in step, and patient while the history cannot take more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from synapsenet.adapters.lmdb.online_store import LmdbOnlineStore, open_online_store
from synapsenet.adapters.parquet.history import ParquetHistory, open_history
from synapsenet.errors import ResourceExhausted
from synapsenet.features.catalogue import Catalogue
from synapsenet.features.mirror import CONSUMER, Mirror
from synapsenet.features.options import OnlineOptions
from synapsenet.features.ports import History, HistoryBatch
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.feature_history import asking, scores
from synapsenet.testing.features import batch, row, sample_group

DEADLINE = 10.0


class Crowded(ParquetHistory):
    """A history whose disk is full while `full` is set."""

    full = True

    async def append(self, batch: HistoryBatch) -> None:
        if self.full:
            raise ResourceExhausted("STORAGE_FULL", "the disk that holds the features' history is full")
        await super().append(batch)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LmdbOnlineStore]:
    async with open_online_store(tmp_path / "online", OnlineOptions(map_bytes=1 << 20)) as opened:
        yield opened


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[ParquetHistory]:
    async with open_history(tmp_path / "history", join_memory_mb=128) as opened:
        yield opened


@pytest.fixture
def catalogue() -> Catalogue:
    known = Catalogue()
    known.put(sample_group())
    return known


def mirror(
    store: LmdbOnlineStore, history: History, catalogue: Catalogue, clock: FakeClock | None = None, rows: int = 2
) -> Mirror:
    return Mirror(store=store, history=history, catalogue=catalogue, clock=clock or FakeClock(), interval=5.0, rows=rows)


async def test_a_flush_brings_everything_that_was_acknowledged_in_bounded_steps(
    store: LmdbOnlineStore, history: ParquetHistory, catalogue: Catalogue, tmp_path: Path
) -> None:
    await store.write(batch(*((user, row(float(user), at=1)) for user in range(5))))
    assert await mirror(store, history, catalogue).flush() == 5
    assert await scores(history, asking(*((user, 9) for user in range(5)))) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(list((tmp_path / "history" / "fg-1").glob("*.parquet"))) == 3
    assert await store.changes(after=5, limit=9) == []


async def test_flushes_side_by_side_move_nothing_twice(
    store: LmdbOnlineStore, history: ParquetHistory, catalogue: Catalogue, tmp_path: Path
) -> None:
    one = mirror(store, history, catalogue, rows=100)
    await store.write(batch((1, row(1.0, at=1))))
    assert await asyncio.gather(*(one.flush() for _ in range(5))) == [1] * 5
    assert len(list((tmp_path / "history" / "fg-1").glob("*.parquet"))) == 1


async def test_it_follows_by_itself_no_more_often_than_its_interval(
    store: LmdbOnlineStore, history: ParquetHistory, catalogue: Catalogue, tmp_path: Path
) -> None:
    clock = FakeClock()
    running = asyncio.create_task(mirror(store, history, catalogue, clock, rows=100).run())
    try:
        for user in range(3):
            await store.write(batch((user, row(1.0, at=1))))
        async with asyncio.timeout(DEADLINE):
            while await store.checkpoint(CONSUMER) < 3:
                await clock.advance(5.0)
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
    assert await scores(history, asking((0, 9), (1, 9), (2, 9))) == [1.0] * 3


async def test_while_the_disk_is_full_the_log_keeps_what_the_history_could_not_take(
    store: LmdbOnlineStore, catalogue: Catalogue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    crowded = Crowded(tmp_path / "history", join_memory_mb=128)
    running = asyncio.create_task(mirror(store, crowded, catalogue, clock).run())
    try:
        await store.write(batch((1, row(1.0, at=1))))
        async with asyncio.timeout(DEADLINE):
            while "the history is behind" not in caplog.text:
                await clock.advance(5.0)
                await asyncio.sleep(0.01)
            assert await store.checkpoint(CONSUMER) == 0
            crowded.full = False
            while await store.checkpoint(CONSUMER) < 1:
                await clock.advance(5.0)
                await asyncio.sleep(0.01)
        assert await scores(crowded, asking((1, 9))) == [1.0]
    finally:
        running.cancel()
        crowded.close()


class Breaking(ParquetHistory):
    """A history that breaks after it has written a batch, as long as `broken` is set."""

    broken = True

    async def append(self, batch: HistoryBatch) -> None:
        await super().append(batch)
        if self.broken:
            raise ResourceExhausted("STORAGE_FULL", "the disk that holds the features' history is full")


async def test_a_step_that_broke_off_after_it_had_written_is_repeated_without_leaving_anything_twice(
    store: LmdbOnlineStore, catalogue: Catalogue, tmp_path: Path
) -> None:
    breaking = Breaking(tmp_path / "history", join_memory_mb=128)
    one = mirror(store, breaking, catalogue, rows=100)
    try:
        await store.write(batch((1, row(1.0, at=1))))
        with pytest.raises(ResourceExhausted):
            await one.flush()
        breaking.broken = False
        await store.write(batch((2, row(2.0, at=1))))  # the repeated step is longer than the one that broke off
        assert await one.flush() == 2
        assert len(list((tmp_path / "history" / "fg-1").glob("*.parquet"))) == 1
        assert await scores(breaking, asking((1, 9), (2, 9))) == [1.0, 2.0]
    finally:
        breaking.close()


async def test_changes_of_a_deleted_group_are_passed_over(
    store: LmdbOnlineStore, history: ParquetHistory, catalogue: Catalogue, tmp_path: Path
) -> None:
    await store.write(batch((1, row(1.0, at=1)), group_id="fg-gone"))
    await store.write(batch((1, row(2.0, at=1))))
    assert await mirror(store, history, catalogue).flush() == 2
    assert not (tmp_path / "history" / "fg-gone").exists()
    assert await scores(history, asking((1, 9))) == [2.0]


async def test_a_file_written_before_a_crash_and_not_marked_is_written_again_once(
    store: LmdbOnlineStore, history: ParquetHistory, catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(Exception):
        pass

    async def die(consumer: str, position: int) -> None:
        raise Dying

    await store.write(batch((1, row(1.0, at=1)), (2, row(2.0, at=1))))
    with monkeypatch.context() as before_it_marks:
        before_it_marks.setattr(store, "mark", die)
        with pytest.raises(Dying):
            await mirror(store, history, catalogue, rows=1).flush()
    await store.write(batch((3, row(3.0, at=1))))
    assert await mirror(store, history, catalogue, rows=100).flush() == 3
    assert [file.stem[-1] for file in (tmp_path / "history" / "fg-1").glob("*.parquet")] == ["3"]
    assert await scores(history, asking((1, 9), (2, 9), (3, 9))) == [1.0, 2.0, 3.0]
