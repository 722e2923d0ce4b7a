"""What people type is read, or refused by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import typer

from synapsenet_cli.inputs import batched, converted, instant, numbers, pairs, scalars, seconds, structure


@pytest.mark.parametrize(
    ("text", "length"), [("1.5", 1.5), ("90s", 90.0), ("250ms", 0.25), ("5m", 300.0), ("2h", 7200.0), ("1d", 86400.0)]
)
def test_durations_have_units(text: str, length: float) -> None:
    assert seconds("--for", text) == length


def test_pairs_keep_what_follows_the_first_equals_sign() -> None:
    assert pairs("--label", ["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


def test_scalars_read_as_what_they_look_like() -> None:
    read = scalars("--param", ["a=1", "b=0.5", "c=true", "d=sgd", "e=1e-3"])
    assert read == {"a": 1, "b": 0.5, "c": True, "d": "sgd", "e": 0.001}
    assert isinstance(read["a"], int)


def test_an_instant_without_an_offset_is_utc() -> None:
    assert instant("t", "2026-01-01T00:00:00") == instant("t", "2026-01-01T01:00:00+01:00") == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        ("INT64", ["1", 2, "", None], [1, 2, None, None]),
        ("DOUBLE", ["0.5", 1], [0.5, 1.0]),
        ("BOOL", ["true", False, "False"], [True, False, False]),
        ("STRING", ["", "x"], ["", "x"]),
        ("FLOAT[2]", ["[1, 2]", [3, 4], None], [[1.0, 2.0], [3.0, 4.0], None]),
    ],
)
def test_a_column_of_a_file_takes_the_type_of_its_feature(kind: str, given: list[Any], read: list[Any]) -> None:
    assert converted("x", given, kind) == read


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (lambda: pairs("--label", ["team"]), "'team' is no KEY=VALUE"),
        (lambda: pairs("--label", ["a=1", "a=2"]), "a is given twice"),
        (lambda: numbers("--metric", ["accuracy=high"]), "'high' is no number"),
        (lambda: seconds("--for", "soon"), "'soon' is no duration"),
        (lambda: instant("--since", "noon"), "'noon' is no instant"),
        (lambda: structure("--input", "[1"), "is no JSON"),
        (lambda: structure("--input", "@/nowhere"), "/nowhere cannot be read"),
        (lambda: converted("label", ["seven"], "INT64"), "label: a value is no INT64"),
        (lambda: converted("flag", ["maybe"], "BOOL"), "flag: a value is no BOOL"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(refused: Any, said: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        refused()
    assert said in caught.value.format_message()


def test_rows_are_batched_in_order() -> None:
    rows = [{"place": place} for place in range(5)]
    assert list(batched(rows, 2)) == [rows[:2], rows[2:4], rows[4:]]
