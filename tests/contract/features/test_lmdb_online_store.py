"""The online store's suite over LMDB, and what is LMDB's own: growth, bounds, corruption, reopening."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from synapsenet.adapters.lmdb.online_store import LmdbOnlineStore, open_online_store
from synapsenet.errors import DataLoss, ResourceExhausted, Unavailable
from synapsenet.features.options import OnlineOptions
from synapsenet.features.ports import OnlineStore, RowBatch
from synapsenet.testing.features import OnlineStoreContract, batch, key, row, score

SMALL = OnlineOptions(map_bytes=1 << 20, scan_rows=4, inline_keys=2, rows_per_commit=64, pending_batches=4)
BULK = b"x" * 4_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LmdbOnlineStore]:
    async with open_online_store(tmp_path / "online", SMALL) as opened:
        yield opened


class TestLmdbOnlineStore(OnlineStoreContract):
    """The shared suite, with bounds so small that every path is taken."""


def bulky(first: int, count: int) -> RowBatch:
    """Rows of 4 kB."""
    return RowBatch(
        group_id="fg-1",
        keys=[key(user) for user in range(first, first + count)],
        rows=[row(float(user), at=1) + BULK for user in range(first, first + count)],
    )


async def stored(store: OnlineStore) -> int:
    return sum([len(piece) async for piece in store.scan("fg-1")])


async def test_the_map_grows_while_readers_go_on(store: LmdbOnlineStore) -> None:
    await store.write(batch((-1, row(0.5, at=1))))
    reading = True

    async def read() -> int:
        reads = 0
        while reading:
            [[found, *_]] = await store.read([("fg-1", [key(-1), key(0), key(1)])])
            assert score(found) == 0.5
            reads += 1
        return reads

    reader = asyncio.create_task(read())
    for first in range(0, 2_000, 100):
        await store.write(bulky(first, 100))
    reading = False
    assert await reader > 0
    assert await stored(store) == 2_001


async def test_a_map_at_its_limit_refuses_the_write_whole_and_keeps_what_stood(tmp_path: Path) -> None:
    async with open_online_store(tmp_path / "online", replace(SMALL, map_limit_bytes=1 << 20)) as store:
        await store.write(bulky(0, 10))
        with pytest.raises(ResourceExhausted) as refusal:
            await store.write(bulky(10, 1_000))
        assert refusal.value.reason == "STORAGE_FULL"
        assert (await stored(store), await store.newest()) == (10, 10)
        await store.write(bulky(10, 1))
        assert (await stored(store), await store.newest()) == (11, 11)


async def test_a_batch_that_does_not_fit_does_not_fail_those_that_wait_beside_it(tmp_path: Path) -> None:
    async with open_online_store(tmp_path / "online", replace(SMALL, map_limit_bytes=1 << 20, rows_per_commit=10_000)) as store:
        outcomes = await asyncio.gather(
            store.write(bulky(0, 2)), store.write(bulky(100, 1_000)), store.write(bulky(2, 2)), return_exceptions=True
        )
        assert [type(outcome).__name__ for outcome in outcomes] == ["WriteCounts", "ResourceExhausted", "WriteCounts"]
        assert await stored(store) == 4


async def test_values_places_and_positions_are_there_after_reopening(tmp_path: Path) -> None:
    async with open_online_store(tmp_path / "online", SMALL) as store:
        await store.write(batch((1, row(1.0, at=1)), (2, row(2.0, at=1))))
        await store.mark("history", 1)
    async with open_online_store(tmp_path / "online", SMALL) as store:
        assert (await store.newest(), await store.checkpoint("history")) == (2, 1)
        assert [change.position for change in await store.changes(after=1, limit=9)] == [2]
        [[found]] = await store.read([("fg-1", [key(2)])])
        assert score(found) == 2.0


async def test_a_writer_that_gives_up_leaves_the_log_and_its_watchers_in_step(store: LmdbOnlineStore) -> None:
    writing = asyncio.create_task(store.write(batch((1, row(1.0, at=1)))))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait_for(store.wait_beyond(0), 10)
    assert [change.position for change in await store.changes(after=0, limit=9)] == [1]


async def test_a_store_that_is_closed_refuses_a_write_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with open_online_store(tmp_path / "online", SMALL) as store:
        pass
    with pytest.raises(Unavailable) as refusal:
        await asyncio.wait_for(store.write(batch((1, row(1.0, at=1)))), 10)
    assert refusal.value.reason == "STORE_CLOSED"


async def test_files_that_are_no_lmdb_environment_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "online").mkdir()
    (tmp_path / "online" / "data.mdb").write_bytes(b"no pages at all" * 1_000)
    with pytest.raises(DataLoss) as refusal:
        async with open_online_store(tmp_path / "online", SMALL):
            pass
    assert refusal.value.reason == "ONLINE_STORE_CORRUPT"
    assert "online" in refusal.value.public
