"""Rows: what is packed is unpacked, and the order of writes does not depend on the order of their arrival."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapsenet.features.columns import Columns, column_of
from synapsenet.features.model import Feature, ValueType
from synapsenet.features.rows import BACKFILL, HEADER_SIZE, RowLayout, Verdict, compare, headers, rank, received
from synapsenet.testing.features import deletion, row, score

FEATURES = (
    Feature(name="word", type=ValueType.STRING),
    Feature(name="vector", type=ValueType.DOUBLE, vector_length=2),
    Feature(name="blob", type=ValueType.BYTES),
    Feature(name="since", type=ValueType.TIMESTAMP),
)
LAYOUT = RowLayout(FEATURES, 3)


def packed(*rows: tuple[Any, Any, Any, Any], flags: int = 0) -> list[bytes]:
    columns = Columns(len(rows), tuple(column_of(f.column, [each[i] for each in rows]) for i, f in enumerate(FEATURES)))
    sequences = np.arange(len(rows), dtype=np.uint64)
    return LAYOUT.pack(columns, event_times=np.arange(len(rows)), sequences=sequences, ingest_time=9, flags=flags)


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def unpacked(rows: list[bytes | None]) -> list[tuple[Any, ...]]:
    _, values = LAYOUT.unpack(rows, [feature.name for feature in FEATURES])
    masks = [column.null_mask() for column in values.columns]
    return [
        tuple(None if mask[i] else plain(c.values[i]) for mask, c in zip(masks, values.columns, strict=True))
        for i in range(len(rows))
    ]


texts = st.one_of(st.none(), st.text(max_size=5))
vectors = st.one_of(st.none(), st.lists(st.floats(allow_nan=False), min_size=2, max_size=2))
blobs = st.one_of(st.none(), st.binary(max_size=5))
instants = st.one_of(st.none(), st.integers(-(2**62), 2**62))


@given(st.lists(st.tuples(texts, vectors, blobs, instants), min_size=1, max_size=6))
def test_whatever_was_packed_is_unpacked(rows: list[tuple[Any, Any, Any, Any]]) -> None:
    assert unpacked(list(packed(*rows))) == rows


def test_rows_that_are_missing_or_deleted_unpack_as_nulls_between_others() -> None:
    [one, two] = packed(("a", [1.0, 2.0], b"x", 1), ("bc", [3.0, 4.0], b"yz", 2))
    gone = (None, None, None, None)
    assert unpacked([None, one, deletion(at=1), two]) == [gone, ("a", [1.0, 2.0], b"x", 1), gone, ("bc", [3.0, 4.0], b"yz", 2)]


def test_a_row_carries_its_times_sequence_version_and_flags() -> None:
    header = headers(packed(("a", [1.0, 2.0], b"x", 1), ("b", [1.0, 2.0], b"x", 1), flags=BACKFILL))[1]
    assert header.tolist() == (1, 9, 1, 3, BACKFILL)


def test_equal_rows_have_equal_bytes_whatever_stood_under_a_null() -> None:
    column = column_of(FEATURES[1].column, [None])
    rows = []
    for under in (0.0, 7.0):
        filled = replace(column, values=np.full((1, 2), under))
        rows += LAYOUT.pack(
            Columns(1, (filled,)),
            event_times=np.zeros(1, dtype=np.int64),
            sequences=np.zeros(1, dtype=np.uint64),
            ingest_time=0,
            flags=0,
        )
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("incoming", "stored", "verdict"),
    [
        (row(1.0, at=2), row(2.0, at=1), Verdict.APPLIED),
        (row(1.0, at=1), row(2.0, at=2), Verdict.LATE),
        (row(1.0, at=1, sequence=2), row(2.0, at=1, sequence=1), Verdict.APPLIED),
        (row(1.0, at=1, sequence=1), row(2.0, at=1, sequence=2), Verdict.LATE),
        (row(1.0, at=1, arrived=5), row(1.0, at=1, arrived=3), Verdict.DUPLICATE),
        (deletion(at=1), row(2.0, at=1, sequence=2**64 - 1), Verdict.APPLIED),
        (row(2.0, at=1), deletion(at=1), Verdict.LATE),
        (deletion(at=1, arrived=5), deletion(at=1, arrived=3), Verdict.DUPLICATE),
        (row(1.0, at=-5), None, Verdict.APPLIED),
    ],
)
def test_a_row_replaces_another_by_event_time_then_sequence(incoming: bytes, stored: bytes | None, verdict: Verdict) -> None:
    assert compare(incoming, stored) is verdict


few = st.integers(0, 2)
writes = st.one_of(
    st.builds(lambda value, at, sequence: row(float(value), at=at, sequence=sequence), few, few, few),
    st.builds(lambda at: deletion(at=at), few),
)


@given(st.lists(writes, min_size=1, max_size=5))
def test_every_order_of_arrival_ends_in_the_same_state(rows: list[bytes]) -> None:
    ends = set()
    for order in permutations(rows):
        stored: bytes | None = None
        for incoming in order:
            if compare(incoming, stored) is Verdict.APPLIED:
                stored = incoming
        ends.add(stored)
    assert len(ends) == 1


def test_ranks_tell_different_values_apart_and_put_deletions_first() -> None:
    assert rank(row(1.0, at=1)) == rank(row(1.0, at=99, arrived=3)) != rank(row(2.0, at=1))
    assert rank(deletion(at=1)) > rank(row(1.0, at=1))


def test_the_ingest_time_only_moves_forward() -> None:
    stood = row(1.0, at=1, arrived=10)
    assert received(stood, row(0.0, at=0, arrived=9)) is stood
    moved = received(stood, row(0.0, at=0, arrived=11))
    assert (headers([moved])["ingest_time"][0], headers([moved])["event_time"][0], score(moved)) == (11, 1, 1.0)
    assert moved[HEADER_SIZE:] == stood[HEADER_SIZE:]
