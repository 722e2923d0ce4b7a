"""Entity keys: bytes in the order of the values, text that names one entity each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapsenet.errors import InvalidArgument
from synapsenet.features.columns import Column, Columns, column_of
from synapsenet.features.keys import LONGEST_KEY, decode_keys, encode_keys, entity_texts, parse_entity
from synapsenet.features.model import ColumnType, EntityKey, ValueType

KEYS = (EntityKey(name="shop", type=ValueType.STRING), EntityKey(name="user", type=ValueType.INT64))

integers = st.integers(-(2**63), 2**63 - 1)
entities = st.tuples(st.text(max_size=6), integers)


def encoded(*rows: tuple[Any, ...]) -> list[bytes]:
    columns = tuple(column_of(key.column, [row[index] for row in rows]) for index, key in enumerate(KEYS))
    return encode_keys(KEYS, Columns(len(rows), columns), field="entities")


@given(st.lists(entities, min_size=1, max_size=5))
def test_keys_decode_to_the_values_that_they_were_made_of(rows: list[tuple[str, int]]) -> None:
    shops, users = decode_keys(KEYS, encoded(*rows)).columns
    assert list(zip(shops.values.tolist(), users.values.tolist(), strict=True)) == rows


@given(entities, entities)
def test_keys_sort_as_their_values_do(one: tuple[str, int], other: tuple[str, int]) -> None:
    [first, second] = encoded(one, other)
    # UTF-8 sorts as code points do
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


@given(entities)
def test_text_names_exactly_the_entity_that_it_was_made_of(row: tuple[str, int]) -> None:
    [key] = encoded(row)
    [text] = entity_texts(KEYS, [key])
    assert parse_entity(KEYS, text, field="entity") == key


def test_integers_alone_are_decoded_without_a_copy_of_each() -> None:
    only = (KEYS[1],)
    values = np.array([-(2**63), -1, 0, 1, 2**63 - 1])
    keys = encode_keys(only, Columns(5, (Column(only[0].column, values),)), field="entities")
    assert sorted(keys) == keys
    assert decode_keys(only, keys).columns[0].values.tolist() == values.tolist()
    assert entity_texts(only, keys)[0] == "-9223372036854775808"


@pytest.mark.parametrize("text", ["", "a", "a|b", "a|07", "a|1|2", "a|9223372036854775808", "a|1.0", "a| 1"])
def test_text_that_names_no_entity_is_refused_with_the_spelling_wanted(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_entity(KEYS, text, field="entity")
    assert (refusal.value.reason, refusal.value.field) == ("ENTITY_INVALID", "entity")
    assert "shop|user" in refusal.value.public


def test_a_null_key_is_refused_naming_its_row() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        encoded(("a", 1), ("b", None))
    assert refusal.value.reason == "ENTITY_KEY_NULL"
    assert "user of row 1" in refusal.value.public


def test_a_key_too_long_for_the_store_is_refused() -> None:
    assert encoded(("x" * (LONGEST_KEY - 10), 1))
    with pytest.raises(InvalidArgument) as refusal:
        encoded(("x" * LONGEST_KEY, 1))
    assert refusal.value.reason == "ENTITY_KEY_TOO_LONG"


def test_a_key_of_another_type_is_refused_naming_both() -> None:
    columns = Columns(1, (column_of(ColumnType(name="shop", type=ValueType.INT64), [1]),))
    with pytest.raises(InvalidArgument) as refusal:
        encode_keys(KEYS, columns, field="entities")
    assert refusal.value.reason == "COLUMN_TYPE"
    assert "INT64" in refusal.value.public
    assert "STRING" in refusal.value.public
