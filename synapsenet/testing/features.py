"""What every online store and every history promise, whatever they are built on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from synapsenet.errors import OutOfRange
from synapsenet.features.catalogue import Entry
from synapsenet.features.columns import Columns, column_of
from synapsenet.features.keys import encode_keys
from synapsenet.features.model import EntityKey, Feature, FeatureGroup, ValueType
from synapsenet.features.ports import OnlineStore, RowBatch
from synapsenet.features.rows import HEADER_SIZE, deletions, headers
from synapsenet.testing.clock import NOON

DEADLINE = 10.0
SECOND = 1_000_000  # µs


def sample_group(id: str = "fg-1", name: str = "users", **changes: object) -> FeatureGroup:
    """A group of one INT64 key, a number, a vector and a text."""
    group = FeatureGroup(
        id=id,
        name=name,
        entity_keys=(EntityKey(name="user_id", type=ValueType.INT64),),
        features=(
            Feature(name="score", type=ValueType.DOUBLE),
            Feature(name="embedding", type=ValueType.FLOAT, vector_length=2),
            Feature(name="city", type=ValueType.STRING),
        ),
        created_at=NOON,
        updated_at=NOON,
    )
    return replace(group, **changes)  # type: ignore[arg-type]  # the caller names fields of a group


def key(user: int) -> bytes:
    group = sample_group()
    return encode_keys(group.entity_keys, Columns(1, (column_of(group.entity_keys[0].column, [user]),)), field="entities")[0]


def row(score: float | None, *, at: int, sequence: int = 0, arrived: int = 0) -> bytes:
    """A row of the sample group; times in µs since 1970."""
    entry = Entry(sample_group())
    columns = Columns(1, (column_of(entry.group.features[0].column, [score]),))
    [packed] = entry.layout.pack(
        columns, event_times=np.array([at]), sequences=np.array([sequence], dtype=np.uint64), ingest_time=arrived, flags=0
    )
    return packed


def deletion(*, at: int, arrived: int = 0) -> bytes:
    return deletions(1, event_time=at, ingest_time=arrived, schema_version=1)[0]


def batch(*rows: tuple[int, bytes], group_id: str = "fg-1") -> RowBatch:
    return RowBatch(group_id=group_id, keys=[key(user) for user, _ in rows], rows=[packed for _, packed in rows])


def score(packed: bytes | None) -> float | None:
    """The score in a row; None if there is no row, or no score in it."""
    if packed is None or len(packed) == HEADER_SIZE:
        return None
    _, values = Entry(sample_group()).layout.unpack([packed], ["score"])
    [column] = values.columns
    return None if column.nulls is not None else float(column.values[0])


class OnlineStoreContract:
    """Over a fixture `store`."""

    async def read(self, store: OnlineStore, *users: int) -> list[float | None]:
        [rows] = await store.read([("fg-1", [key(user) for user in users])])
        return [score(packed) for packed in rows]

    async def changes(self, store: OnlineStore, after: int = 0) -> Sequence[tuple[int, float | None]]:
        return [(change.position, score(change.row)) for change in await store.changes(after=after, limit=100)]

    async def test_what_was_written_is_read_in_the_order_of_the_keys(self, store: OnlineStore) -> None:
        await store.write(batch((1, row(0.1, at=1)), (2, row(0.2, at=1))))
        assert await self.read(store, 2, 3, 1) == [0.2, None, 0.1]

    async def test_the_newer_event_stays_whichever_came_first(self, store: OnlineStore) -> None:
        await store.write(batch((1, row(2.0, at=2)), (2, row(1.0, at=1))))
        counts = await store.write(batch((1, row(1.0, at=1)), (2, row(2.0, at=2))))
        assert (counts.applied, counts.late) == (1, 1)
        assert await self.read(store, 1, 2) == [2.0, 2.0]

    async def test_of_equal_event_times_the_higher_sequence_stays(self, store: OnlineStore) -> None:
        await store.write(batch((1, row(2.0, at=1, sequence=2))))
        await store.write(batch((1, row(1.0, at=1, sequence=1))))
        assert await self.read(store, 1) == [2.0]

    async def test_a_key_that_comes_twice_in_a_batch_ends_at_its_newest_event(self, store: OnlineStore) -> None:
        counts = await store.write(batch((1, row(3.0, at=3)), (1, row(1.0, at=1)), (1, row(2.0, at=2))))
        assert (counts.applied, counts.late, counts.position) == (1, 2, 3)
        assert await self.read(store, 1) == [3.0]

    async def test_the_same_write_again_changes_nothing_but_the_ingest_time(self, store: OnlineStore) -> None:
        await store.write(batch((1, row(1.0, at=1, arrived=10))))
        counts = await store.write(batch((1, row(1.0, at=1, arrived=20))))
        assert (counts.applied, counts.late, counts.duplicates, counts.position) == (0, 0, 1, 1)
        [[stored]] = await store.read([("fg-1", [key(1)])])
        assert stored is not None
        assert headers([stored])["ingest_time"][0] == 20
        assert await self.changes(store) == [(1, 1.0)]

    async def test_a_late_row_moves_the_ingest_time_and_not_the_value(self, store: OnlineStore) -> None:
        await store.write(batch((1, row(2.0, at=2, arrived=10))))
        await store.write(batch((1, row(1.0, at=1, arrived=20))))
        [[stored]] = await store.read([("fg-1", [key(1)])])
        assert stored is not None
        assert (score(stored), headers([stored])["event_time"][0], headers([stored])["ingest_time"][0]) == (2.0, 2, 20)

    async def test_a_deleted_entity_is_not_brought_back_by_an_older_event_but_by_a_newer(self, store: OnlineStore) -> None:
        await store.write(batch((1, row(1.0, at=1))))
        await store.write(batch((1, deletion(at=5))))
        await store.write(batch((1, row(4.0, at=4))))
        assert await self.read(store, 1) == [None]
        await store.write(batch((1, row(6.0, at=6))))
        assert await self.read(store, 1) == [6.0]

    async def test_groups_do_not_see_each_other(self, store: OnlineStore) -> None:
        await store.write(batch((1, row(1.0, at=1)), group_id="fg-1"))
        await store.write(batch((1, row(2.0, at=1)), group_id="fg-2"))
        found = await store.read([("fg-2", [key(1)]), ("fg-1", [key(1)])])
        assert [score(packed) for [packed] in found] == [2.0, 1.0]

    async def test_dropping_a_group_leaves_its_neighbours_and_the_log(self, store: OnlineStore) -> None:
        await store.write(batch((1, row(1.0, at=1)), (2, row(1.0, at=1))))
        await store.write(batch((1, row(2.0, at=1)), group_id="fg-2"))
        await store.drop("fg-1")
        assert [piece async for piece in store.scan("fg-1")] == []
        assert [score(packed) async for piece in store.scan("fg-2") for _, packed in piece] == [2.0]
        assert len(await self.changes(store)) == 3

    async def test_a_scan_gives_every_entity_once_in_the_order_of_the_keys(self, store: OnlineStore) -> None:
        users = [-5, -1, 0, 1, 7, 300]
        await store.write(batch(*((user, row(float(user), at=1)) for user in reversed(users))))
        scanned = [(found, score(packed)) async for piece in store.scan("fg-1") for found, packed in piece]
        assert scanned == [(key(user), float(user)) for user in users]

    async def test_the_log_has_applied_and_late_rows_under_positions_without_gaps(self, store: OnlineStore) -> None:
        await store.write(batch((1, row(2.0, at=2)), (1, row(1.0, at=1)), (1, row(2.0, at=2))))
        counts = await store.write(batch((2, row(3.0, at=3))))
        assert await self.changes(store) == [(1, 2.0), (2, 1.0), (3, 3.0)]
        assert await self.changes(store, after=2) == [(3, 3.0)]
        assert counts.position == await store.newest() == 3

    async def test_what_every_consumer_has_passed_is_trimmed_and_nothing_else(self, store: OnlineStore) -> None:
        assert await store.checkpoint("slow") == await store.checkpoint("fast") == 0
        await store.write(batch(*((user, row(1.0, at=1)) for user in range(5))))
        await store.mark("fast", 4)
        assert len(await self.changes(store)) == 5
        await store.mark("slow", 2)
        assert [position for position, _ in await self.changes(store, after=2)] == [3, 4, 5]
        with pytest.raises(OutOfRange) as refusal:
            await store.changes(after=1, limit=1)
        assert (refusal.value.reason, refusal.value.metadata["oldest"]) == ("CHANGES_TRIMMED", "3")
        assert (await store.checkpoint("fast"), await store.checkpoint("slow")) == (4, 2)

    async def test_positions_go_on_after_the_whole_log_was_trimmed(self, store: OnlineStore) -> None:
        await store.write(batch((1, row(1.0, at=1))))
        await store.mark("only", 1)
        assert await self.changes(store, after=1) == []
        assert (await store.write(batch((1, row(2.0, at=2))))).position == 2

    async def test_a_waiter_wakes_when_the_log_grows_beyond_its_position(self, store: OnlineStore) -> None:
        waiting = asyncio.create_task(store.wait_beyond(1))
        await store.write(batch((1, row(1.0, at=1))))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.05)
        assert not waiting.done()
        await store.write(batch((1, row(2.0, at=2))))
        await asyncio.wait_for(waiting, DEADLINE)

    async def test_concurrent_writers_end_at_the_newest_event(self, store: OnlineStore) -> None:
        instants = np.random.default_rng(1).permutation(200).tolist()
        await asyncio.gather(*(store.write(batch((1, row(float(at), at=at)))) for at in instants))
        assert await self.read(store, 1) == [199.0]
        assert await store.newest() == 200
