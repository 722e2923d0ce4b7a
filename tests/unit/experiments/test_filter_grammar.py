"""The filter language: what it says, and what it refuses where."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapsenet.errors import InvalidArgument, NotYetAvailable
from synapsenet.experiments.filter_grammar import LONGEST_FILTER, parse_filter, parse_order
from synapsenet.experiments.filtering import (
    Aggregate,
    And,
    Comparator,
    Compare,
    Contains,
    Field,
    Filter,
    Not,
    Or,
    Ordering,
    Present,
    Subject,
    Value,
)


def param(name: str, comparator: Comparator, value: Value) -> Compare:
    return Compare(Field(Subject.PARAM, name), comparator, value)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("learning_rate>=0.001", param("learning_rate", Comparator.AT_LEAST, 0.001)),
        ("params.lr = 1e-3", param("lr", Comparator.EQUAL, 0.001)),
        ("x=-5", param("x", Comparator.EQUAL, -5)),
        ("x=.5", param("x", Comparator.EQUAL, 0.5)),
        ("warm!=true", param("warm", Comparator.UNEQUAL, True)),
        ('warm="true"', param("warm", Comparator.EQUAL, "true")),
        ("optimizer=adam", param("optimizer", Comparator.EQUAL, "adam")),
        (r'name="a \"b\" \\ c"', param("name", Comparator.EQUAL, 'a "b" \\ c')),
        ("layers.0.units<64", param("layers.0.units", Comparator.LESS, 64)),
        ('"run.id"=1', param("run.id", Comparator.EQUAL, 1)),
        ("run=1", param("run", Comparator.EQUAL, 1)),
        ("ANDROID=1", param("ANDROID", Comparator.EQUAL, 1)),
        ("ключ=1", param("ключ", Comparator.EQUAL, 1)),
        ("x:*", Present(Field(Subject.PARAM, "x"))),
        ('name:"da"', Contains(Field(Subject.PARAM, "name"), "da")),
        ("tags.team:vis", Contains(Field(Subject.TAG, "team"), "vis")),
        ("metrics.val/loss<1", Compare(Field(Subject.METRIC, "val/loss"), Comparator.LESS, 1)),
        ("min(metrics.loss)<1", Compare(Field(Subject.METRIC, "loss", Aggregate.MIN), Comparator.LESS, 1)),
        ("max(val.acc)>0.9", Compare(Field(Subject.METRIC, "val.acc", Aggregate.MAX), Comparator.MORE, 0.9)),
        ("run.state=FINISHED", Compare(Field(Subject.RUN, "state"), Comparator.EQUAL, "finished")),
        (
            'run.create_time>"2026-01-01T01:00:00+01:00"',
            Compare(Field(Subject.RUN, "create_time"), Comparator.MORE, datetime(2026, 1, 1, tzinfo=UTC)),
        ),
        ("NOT x:*", Not(Present(Field(Subject.PARAM, "x")))),
        ("a:* AND b:* AND c:*", And(tuple(Present(Field(Subject.PARAM, name)) for name in "abc"))),
        ("(a:* OR b:*)", Or(tuple(Present(Field(Subject.PARAM, name)) for name in "ab"))),
    ],
)
def test_a_filter_says(text: str, means: Filter) -> None:
    assert parse_filter(text) == means


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("learning_rate>>1", 15, "a number"),
        ("x=", 3, "a number"),
        ("=1", 1, "a name"),
        ("x=1 y=2", 5, "AND"),
        ("x=1 and y=2", 5, "AND"),
        ("(x=1", 5, "')'"),
        ("x=1)", 4, "the end"),
        ("x ~ 1", 3, "one of = !="),
        ('x="open', 3, "a quoted text"),
        ("a=1 AND b=2 OR c=3", 13, "parentheses"),
        ("a=1 OR b=2 AND c=3", 12, "parentheses"),
        ('metrics.loss="low"', 14, "a number"),
        ("x>true", 2, "= or !="),
        ("run.nothing=1", 5, "one of id name state"),
        ("run.state=done", 11, "one of running"),
        ("run.state<finished", 10, "= or !="),
        ("run.create_time>yesterday", 17, "RFC 3339"),
        ("tags.team=5", 11, "a text"),
        ("metrics.loss:low", 14, "'*'"),
        ("median(loss)>1", 1, "last(metric)"),
        ("x=9223372036854775808", 3, "64 bits"),
        ("x=1e999", 3, "64 bits"),
        ("a=1\nAND b ~ 2", 11, "one of = !="),
        ("x='1'", 3, "a quoted text"),
        ("x=\0", 3, "printable"),
    ],
)
def test_a_wrong_filter_is_refused_with_its_position_and_what_was_expected(text: str, position: int, expected: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_filter(text)
    assert refusal.value.reason == "FILTER_INVALID"
    assert refusal.value.metadata["position"] == str(position)
    assert expected in refusal.value.metadata["expected"]
    assert f"position {position}" in refusal.value.public


@pytest.mark.parametrize(
    "text",
    ["x=1" + " " * LONGEST_FILTER, "NOT " * 2000 + "x=1", " OR ".join(["x=1"] * 201), "x=" + "9" * 9000],
    ids=["long", "deep", "wide", "digits"],
)
def test_a_filter_that_could_choke_a_database_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_filter(text)
    assert refusal.value.reason == "FILTER_INVALID"


def test_parentheses_alone_nest_as_deep_as_they_like() -> None:
    assert parse_filter("(" * 5000 + "x=1" + ")" * 5000) == parse_filter("x=1")


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_blank_filter_is_none(text: str) -> None:
    assert parse_filter(text) is None


def test_a_value_at_a_step_is_not_yet_available() -> None:
    with pytest.raises(NotYetAvailable):
        parse_filter("at(loss, 100) < 1")
    with pytest.raises(NotYetAvailable):
        parse_order("at(loss, 100) desc")


@given(st.text(max_size=60))
def test_no_text_is_more_than_refused(text: str) -> None:
    position = 1
    try:
        parse_filter(text)
    except InvalidArgument as refusal:
        position = int(refusal.metadata["position"])
    assert 1 <= position <= len(text) + 1


def test_an_order_names_fields_and_directions() -> None:
    assert parse_order("metrics.accuracy desc, lr, min(loss) asc") == (
        Ordering(Field(Subject.METRIC, "accuracy"), descending=True),
        Ordering(Field(Subject.PARAM, "lr")),
        Ordering(Field(Subject.METRIC, "loss", Aggregate.MIN)),
    )
    assert parse_order("") == ()


@pytest.mark.parametrize(("text", "position"), [("a b", 3), ("a,", 3), ("a desc desc", 8), ("a,b,c,d,e,f", 1), ("run.x", 5)])
def test_a_wrong_order_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_order(text)
    assert (refusal.value.field, refusal.value.metadata["position"]) == ("order_by", str(position))
