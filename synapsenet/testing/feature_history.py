"""What every history of features promises: joins that see exactly what was known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from synapsenet.features.catalogue import Entry
from synapsenet.features.columns import Columns, column_of
from synapsenet.features.keys import encode_keys
from synapsenet.features.mirror import history_batch
from synapsenet.features.model import ColumnType, EntityKey, Feature, FeatureGroup, Knowledge, ValueType
from synapsenet.features.ports import Change, History, JoinedGroup, JoinQuery
from synapsenet.testing.features import deletion, key, row, sample_group

MICROSECOND = timedelta(microseconds=1)
USER = ColumnType(name="user_id", type=ValueType.INT64)


@dataclass(frozen=True, slots=True)
class Told:
    """One change: who, what, when it happened and when it arrived (µs since 1970); a score of None deletes."""

    user: int
    score: float | None
    at: int
    arrived: int = 0
    sequence: int = 0

    def change(self, position: int, group_id: str) -> Change:
        packed = (
            deletion(at=self.at, arrived=self.arrived)
            if self.score is None
            else row(self.score, at=self.at, sequence=self.sequence, arrived=self.arrived)
        )
        return Change(position, group_id, key(self.user), packed)


async def tell(history: History, *told: Told, group: FeatureGroup | None = None, first: int = 1) -> None:
    """Append `told` under positions from `first` on."""
    entry = Entry(group or sample_group())
    changes = [each.change(position, entry.group.id) for position, each in enumerate(told, start=first)]
    await history.append(history_batch(entry, changes))


def asking(*spine: tuple[int, int], groups: Sequence[FeatureGroup] = (), features: Sequence[str] = ("score",)) -> JoinQuery:
    """A join of (user, instant) rows with features of the sample group, or of `groups`."""
    return JoinQuery(
        spine=Columns(len(spine), (column_of(USER, [user for user, _ in spine]),)),
        instants=np.array([at for _, at in spine], dtype=np.int64),
        groups=tuple(
            JoinedGroup(
                group.id, group.name, group.entity_keys, tuple(each for each in group.features if each.name in features)
            )
            for group in groups or [sample_group()]
        ),
        max_age=None,
        knowledge=Knowledge.LATEST,
        known_by=None,
    )


async def joined(history: History, query: JoinQuery) -> tuple[list[dict[str, Any]], tuple[int, ...]]:
    """The rows of a join and what it says is missing."""
    import pyarrow as pa  # an adapter's library: only who runs this suite has it

    async with history.join(query) as found:
        data = b"".join([chunk async for chunk in found.chunks()])
    return pa.ipc.open_stream(data).read_all().to_pylist(), found.missing


async def scores(history: History, query: JoinQuery) -> list[Any]:
    rows, missing = await joined(history, query)
    found = [each["users:score"] for each in rows]
    assert missing == (found.count(None),)
    return found


class HistoryContract:
    """Over a fixture `history`."""

    async def test_each_row_gets_the_newest_event_not_after_its_instant(self, history: History) -> None:
        await tell(history, Told(1, 1.0, at=10), Told(1, 2.0, at=20), Told(2, 9.0, at=15))
        assert await scores(history, asking((1, 9), (1, 10), (1, 19), (1, 20), (2, 14), (2, 99), (3, 99))) == [
            None, 1.0, 1.0, 2.0, None, 9.0, None,
        ]  # fmt: skip

    async def test_rows_stay_in_the_order_of_the_spine(self, history: History) -> None:
        await tell(history, *(Told(user, float(user), at=1) for user in range(100)))
        order = np.random.default_rng(2).permutation(100).tolist()
        rows, _ = await joined(history, asking(*((user, 5) for user in order)))
        assert [each["user_id"] for each in rows] == order == [each["users:score"] for each in rows]

    async def test_batches_of_any_order_join_as_one_history(self, history: History) -> None:
        await tell(history, Told(1, 3.0, at=30), Told(1, 1.0, at=10), first=1)
        await tell(history, Told(1, 2.0, at=20), first=3)
        assert await scores(history, asking((1, 15), (1, 25), (1, 35))) == [1.0, 2.0, 3.0]

    async def test_of_equal_event_times_the_higher_sequence_wins_as_it_does_online(self, history: History) -> None:
        await tell(history, Told(1, 2.0, at=10, sequence=2), Told(1, 1.0, at=10, sequence=1), Told(1, 0.0, at=10))
        assert await scores(history, asking((1, 10))) == [2.0]

    async def test_a_deleted_entity_has_no_values_from_then_until_it_is_written_again(self, history: History) -> None:
        await tell(history, Told(1, 1.0, at=10), Told(1, None, at=20), Told(1, 3.0, at=30))
        assert await scores(history, asking((1, 19), (1, 20), (1, 29), (1, 30))) == [1.0, None, None, 3.0]

    async def test_events_older_than_the_maximal_age_are_left_out_to_the_microsecond(self, history: History) -> None:
        await tell(history, Told(1, 1.0, at=10))
        query = replace(asking((1, 14), (1, 15), (1, 16)), max_age=5 * MICROSECOND)
        assert await scores(history, query) == [1.0, 1.0, None]

    async def test_a_deletion_within_the_maximal_age_hides_the_event_before_it(self, history: History) -> None:
        await tell(history, Told(1, 1.0, at=10), Told(1, None, at=12))
        assert await scores(history, replace(asking((1, 14)), max_age=5 * MICROSECOND)) == [None]

    async def test_what_arrived_after_the_instant_is_not_known_at_it(self, history: History) -> None:
        await tell(history, Told(1, 1.0, at=10, arrived=11), Told(1, 2.0, at=12, arrived=50), Told(1, 3.0, at=40, arrived=60))
        query = asking((1, 10), (1, 20), (1, 50), (1, 59), (1, 60))
        assert await scores(history, query) == [1.0, 2.0, 3.0, 3.0, 3.0]
        at_instant = replace(query, knowledge=Knowledge.AT_INSTANT)
        assert await scores(history, at_instant) == [None, 1.0, 2.0, 2.0, 3.0]

    async def test_what_arrived_after_the_cutoff_is_not_known_at_all(self, history: History) -> None:
        await tell(history, Told(1, 1.0, at=10, arrived=10), Told(1, 2.0, at=11, arrived=100))
        assert await scores(history, replace(asking((1, 99)), known_by=99)) == [1.0]
        assert await scores(history, replace(asking((1, 99)), known_by=100)) == [2.0]

    async def test_features_of_several_groups_are_joined_side_by_side(self, history: History) -> None:
        other = sample_group("fg-2", "visitors")
        await tell(history, Told(1, 1.0, at=10))
        await tell(history, Told(1, 5.0, at=20), group=other, first=2)
        rows, missing = await joined(history, asking((1, 15), (1, 25), groups=[sample_group(), other]))
        assert [(each["users:score"], each["visitors:score"]) for each in rows] == [(1.0, None), (1.0, 5.0)]
        assert missing == (0, 1)

    async def test_composite_keys_join_on_all_their_parts(self, history: History) -> None:
        group = composite_group()
        await history.append(history_batch(Entry(group), composite_changes(group)))
        query = replace(
            asking((1, 10), (1, 10), (2, 10), groups=[group]),
            spine=Columns(3, (column_of(USER, [1, 1, 2]), column_of(group.entity_keys[1].column, ["a", "b|c", "a"]))),
        )
        rows, _ = await joined(history, query)
        assert [each["baskets:score"] for each in rows] == [0.0, 1.0, None]

    async def test_a_group_without_history_gives_nulls_of_its_types(self, history: History) -> None:
        rows, missing = await joined(history, asking((1, 1), features=("score", "embedding", "city")))
        assert (rows[0]["users:score"], rows[0]["users:embedding"], rows[0]["users:city"], missing) == (
            None,
            None,
            None,
            (1, 1, 1),
        )

    async def test_batches_after_a_position_can_be_discarded_and_appended_again(self, history: History) -> None:
        await tell(history, Told(1, 1.0, at=10), first=1)
        await tell(history, Told(1, 2.0, at=20), first=2)
        await history.discard_after(1)
        assert await scores(history, asking((1, 30))) == [1.0]
        await tell(history, Told(1, 2.0, at=20), Told(1, 3.0, at=30), first=2)
        assert await scores(history, asking((1, 30))) == [3.0]

    async def test_dropping_a_group_forgets_it_alone(self, history: History) -> None:
        other = sample_group("fg-2", "visitors")
        await tell(history, Told(1, 1.0, at=10))
        await tell(history, Told(1, 5.0, at=10), group=other, first=2)
        await history.drop("fg-1")
        rows, _ = await joined(history, asking((1, 15), groups=[sample_group(), other]))
        assert [(each["users:score"], each["visitors:score"]) for each in rows] == [(None, 5.0)]


def composite_group() -> FeatureGroup:
    return replace(
        sample_group("fg-3", "baskets"),
        entity_keys=(EntityKey(name="user_id", type=ValueType.INT64), EntityKey(name="shop", type=ValueType.STRING)),
        features=(Feature(name="score", type=ValueType.DOUBLE),),
    )


def composite_changes(group: FeatureGroup) -> list[Change]:
    """User 1 in shops `a` and `b|c`, with scores 0 and 1."""
    entry = Entry(group)
    columns = Columns(
        2,
        (
            column_of(USER, [1, 1]),
            column_of(group.entity_keys[1].column, ["a", "b|c"]),
            column_of(group.features[0].column, [0.0, 1.0]),
        ),
    )
    keys = encode_keys(group.entity_keys, columns, field="columns")
    rows = entry.layout.pack(
        columns, event_times=np.array([5, 5]), sequences=np.zeros(2, dtype=np.uint64), ingest_time=5, flags=0
    )
    return [Change(position, group.id, key, row) for position, (key, row) in enumerate(zip(keys, rows, strict=True), start=1)]
