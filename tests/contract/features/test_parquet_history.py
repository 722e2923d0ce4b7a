"""The history's suite over Parquet and DuckDB, and what is theirs: types, files, leftovers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synapsenet.adapters.parquet.history import ParquetHistory, open_history
from synapsenet.errors import DataLoss, ResourceExhausted
from synapsenet.features.catalogue import Entry
from synapsenet.features.columns import Columns, column_of
from synapsenet.features.mirror import history_batch
from synapsenet.features.model import Feature, ValueType
from synapsenet.features.ports import Change
from synapsenet.testing.feature_history import HistoryContract, Told, asking, joined, scores, tell
from synapsenet.testing.features import key, sample_group

MEMORY_MB = 128

EVERY_TYPE = replace(
    sample_group(),
    features=(
        Feature(name="flag", type=ValueType.BOOL),
        Feature(name="small", type=ValueType.INT32),
        Feature(name="big", type=ValueType.INT64),
        Feature(name="single", type=ValueType.FLOAT),
        Feature(name="vector", type=ValueType.FLOAT, vector_length=3),
        Feature(name="flags", type=ValueType.BOOL, vector_length=2),
        Feature(name="word", type=ValueType.STRING),
        Feature(name="blob", type=ValueType.BYTES),
        Feature(name="since", type=ValueType.TIMESTAMP),
    ),
)
VALUES = [True, -7, 2**62, 0.5, [1.0, 2.0, 3.0], [True, False], "größe", b"\x00\xff", 1_700_000_000_123_456]


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[ParquetHistory]:
    async with open_history(tmp_path / "it's here", join_memory_mb=MEMORY_MB) as opened:
        yield opened


class TestParquetHistory(HistoryContract):
    """The shared suite, in a folder whose name would break unquoted SQL."""


async def test_every_type_comes_back_as_it_was_written_with_its_nulls(history: ParquetHistory) -> None:
    entry = Entry(EVERY_TYPE)
    columns = Columns(
        2, tuple(column_of(feature.column, [value, None]) for feature, value in zip(EVERY_TYPE.features, VALUES, strict=True))
    )
    rows = entry.layout.pack(
        columns, event_times=np.array([1, 1]), sequences=np.zeros(2, dtype=np.uint64), ingest_time=1, flags=0
    )
    await history.append(history_batch(entry, [Change(user, "fg-1", key(user), row) for user, row in enumerate(rows, start=1)]))

    query = asking((1, 5), (2, 5), groups=[EVERY_TYPE], features=[feature.name for feature in EVERY_TYPE.features])
    [full, empty], missing = await joined(history, query)

    since = full.pop("users:since")
    assert (since.timestamp(), since.microsecond, str(since.tzinfo)) == (1_700_000_000.123456, 123_456, "UTC")
    assert [full[f"users:{feature.name}"] for feature in EVERY_TYPE.features[:-1]] == VALUES[:-1]
    assert {empty[f"users:{feature.name}"] for feature in EVERY_TYPE.features} == {None}
    assert missing == (1,) * len(VALUES)


async def test_vectors_are_fixed_size_lists_of_their_type(history: ParquetHistory) -> None:
    await tell(history, Told(1, 1.0, at=1))
    async with history.join(asking((1, 1), features=("embedding",))) as found:
        schema = pa.ipc.open_stream(b"".join([chunk async for chunk in found.chunks()])).schema
    assert schema.field("users:embedding").type == pa.list_(pa.float32(), 2)
    assert schema.field("instant").type == pa.timestamp("us", tz="UTC")


async def test_the_same_join_gives_the_same_bytes(history: ParquetHistory) -> None:
    await tell(history, *(Told(user, float(user), at=user) for user in range(3_000)))
    streams = []
    for _ in range(2):
        async with history.join(asking(*((user, 2_000) for user in range(3_000)))) as found:
            streams.append(b"".join([chunk async for chunk in found.chunks()]))
    assert streams[0] == streams[1]


async def test_a_file_of_the_history_is_plain_parquet_that_anybody_can_read(history: ParquetHistory, tmp_path: Path) -> None:
    await tell(history, Told(7, 1.5, at=10, arrived=11), Told(7, None, at=12), first=41)
    [file] = (tmp_path / "it's here" / "fg-1").glob("*.parquet")
    assert file.stem == "00000000000000000041-00000000000000000042"
    found = pq.read_table(file).to_pylist()
    assert [(each["user_id"], each["score"], each["_event_time"], each["_deleted"]) for each in found] == [
        (7, 1.5, 10, False),
        (7, None, 12, True),
    ]


async def test_an_unfinished_file_is_never_read_and_goes_with_the_leftovers(history: ParquetHistory, tmp_path: Path) -> None:
    await tell(history, Told(1, 1.0, at=10))
    unfinished = tmp_path / "it's here" / "fg-1" / f"{2:020d}-{3:020d}.tmp"
    unfinished.write_bytes(b"PAR1 half a file")
    assert await scores(history, asking((1, 30))) == [1.0]
    await history.discard_after(1)
    assert not unfinished.exists()


async def test_a_join_leaves_no_file_behind(history: ParquetHistory, tmp_path: Path) -> None:
    await tell(history, Told(1, 1.0, at=10))
    await joined(history, asking((1, 30)))
    assert list((tmp_path / "it's here" / ".joins").iterdir()) == []


@pytest.mark.parametrize("damaged", [b"", b"PAR1" + b"x" * 100])
async def test_a_damaged_file_is_told_as_such(history: ParquetHistory, tmp_path: Path, damaged: bytes) -> None:
    await tell(history, Told(1, 5.0, at=1))
    [file] = (tmp_path / "it's here").glob("*/*.parquet")
    file.write_bytes(damaged)
    with pytest.raises(DataLoss) as refusal:
        await scores(history, asking((1, 2)))
    assert refusal.value.reason == "HISTORY_UNREADABLE"


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (duckdb.OutOfMemoryException("failed to pin block"), "JOIN_TOO_LARGE"),
        (duckdb.IOException("Could not write file: No space left on device"), "STORAGE_FULL"),
        (duckdb.IOException("Could not write file: File too large"), "STORAGE_FULL"),
    ],
)
async def test_a_join_that_finds_no_room_is_told_what_it_lacks(
    history: ParquetHistory, monkeypatch: pytest.MonkeyPatch, raised: Exception, reason: str
) -> None:
    def break_off(*_arguments: object, **_named: object) -> None:
        raise raised

    monkeypatch.setattr("synapsenet.adapters.parquet.history.join_to_file", break_off)
    with pytest.raises(ResourceExhausted) as refusal:
        await scores(history, asking((1, 2)))
    assert refusal.value.reason == reason
