"""The outbox of metric points: bounded, in order, and patient only for as long as it was told."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapsenet_client import InvalidArgument, SynapseNetError, Unavailable
from synapsenet_client._outbox import BATCH_POINTS, Outbox


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@given(st.lists(st.sampled_from(["loss", "accuracy", "rate"]), max_size=60), st.integers(1, 50))
def test_points_leave_in_order_and_none_twice(names: list[str], limit: int) -> None:
    outbox = Outbox(limit=limit, patience=1.0)
    for step, name in enumerate(names):
        outbox.add({name: float(step)}, step, step)
    left: list[tuple[str, int]] = []
    while batch := outbox.batch():
        left += [(points.metric, step) for points in batch for step in points.steps]
        outbox.delivered()
    kept = list(enumerate(names))[:limit]
    for metric in set(names):
        assert [step for name, step in left if name == metric] == [step for step, name in kept if name == metric]
    assert outbox.dropped == max(0, len(names) - limit)


def test_a_batch_is_bounded_and_stays_the_same_until_it_is_delivered() -> None:
    outbox = Outbox(limit=100_000, patience=1.0)
    for step in range(BATCH_POINTS + 5):
        outbox.add({"loss": math.nan}, step, step)
    first = outbox.batch()
    outbox.add({"loss": 0.0}, BATCH_POINTS + 5, 0)
    assert outbox.batch() is first
    assert len(first[0].steps) == BATCH_POINTS
    outbox.delivered()
    assert list(outbox.batch()[0].steps) == list(range(BATCH_POINTS, BATCH_POINTS + 6))


def test_delivered_points_make_room() -> None:
    outbox = Outbox(limit=2, patience=1.0)
    outbox.add({"a": 1.0, "b": 2.0, "c": 3.0}, 0, 0)
    assert outbox.dropped == 1
    outbox.batch()
    outbox.delivered()
    outbox.add({"a": 1.0, "b": 2.0}, 1, 0)
    assert outbox.dropped == 1


def test_pauses_grow_up_to_a_bound_and_patience_ends() -> None:
    time = Time()
    outbox = Outbox(limit=10, patience=60.0, now=time)
    away = Unavailable("away")
    pauses = [outbox.failed(away) for _ in range(8)]
    assert pauses[:3] == [0.2, 0.4, 0.8]
    assert max(pauses) == 5.0
    time.seconds = 60.0
    with pytest.raises(Unavailable):
        outbox.failed(away)


def test_a_delivery_renews_patience() -> None:
    time = Time()
    outbox = Outbox(limit=10, patience=1.0, now=time)
    outbox.failed(Unavailable("away"))
    outbox.delivered()
    time.seconds = 100.0
    assert outbox.failed(Unavailable("away")) == 0.2


def test_any_answer_renews_patience_also_while_there_is_nothing_to_deliver() -> None:
    time = Time()
    outbox = Outbox(limit=10, patience=1.0, now=time)
    outbox.failed(Unavailable("away"))
    outbox.answered()
    time.seconds = 100.0
    assert outbox.failed(Unavailable("away")) == 0.2


@pytest.mark.parametrize("name", ["", "a" * 251, "a\n", " loss", "loss "])
def test_a_name_that_the_platform_would_refuse_is_refused_before_it_holds_up_the_rest(name: str) -> None:
    with pytest.raises(InvalidArgument):
        Outbox(limit=10, patience=1.0).add({name: 1.0}, 0, 0)


def test_an_error_that_does_not_pass_ends_delivery_at_once() -> None:
    with pytest.raises(SynapseNetError, match="bad"):
        Outbox(limit=10, patience=60.0).failed(InvalidArgument("bad"))
