"""The judge of what a consumer received finds every way in which a relay could fail, and nothing in what is right."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.relayed_events import Deduplicated, Seen, Verdict, judge

COMMITTED = {"entry/a": 4, "entry/b": 3}
CLEAN = Verdict(lost=0, reordered=0, duplicates=0, strangers=0)


def delivered() -> list[Seen]:
    return [Seen(f"{name}{n}", f"entry/{name}", n) for n in range(1, 5) for name in "ab" if n <= COMMITTED[f"entry/{name}"]]


def test_what_arrived_whole_and_in_order_is_clean() -> None:
    assert judge(delivered(), COMMITTED) == CLEAN


def test_a_stretch_that_is_sent_again_is_only_duplicates() -> None:
    seen = delivered()
    assert judge(seen[:5] + seen[2:], COMMITTED) == Verdict(lost=0, reordered=0, duplicates=3, strangers=0)


def test_duplicates_that_come_late_are_only_duplicates() -> None:
    assert judge([*delivered(), delivered()[0]], COMMITTED).duplicates == 1


def _without_last(seen: list[Seen]) -> list[Seen]:
    return seen[:-1]


def _without_middle(seen: list[Seen]) -> list[Seen]:
    return seen[:2] + seen[3:]


def _swapped(seen: list[Seen]) -> list[Seen]:
    return [seen[2], seen[1], seen[0], *seen[3:]]


def _overtaken_then_sent_again(seen: list[Seen]) -> list[Seen]:
    return seen[:2] + seen[3:] + seen[2:3]


def _new_id(seen: list[Seen]) -> list[Seen]:
    return [*seen, Seen("other", "entry/a", 2)]


def _same_id_elsewhere(seen: list[Seen]) -> list[Seen]:
    return [*seen, Seen("a1", "entry/b", 4)]


def _never_committed(seen: list[Seen]) -> list[Seen]:
    return [*seen, Seen("a5", "entry/a", 5)]


@pytest.mark.parametrize(
    ("mutate", "what"),
    [
        (_without_last, "lost"),
        (_without_middle, "lost"),
        (_swapped, "reordered"),
        (_overtaken_then_sent_again, "reordered"),
        (_new_id, "strangers"),
        (_same_id_elsewhere, "strangers"),
        (_never_committed, "strangers"),
    ],
)
def test_every_fault_is_found(mutate: Callable[[list[Seen]], list[Seen]], what: str) -> None:
    assert getattr(judge(mutate(delivered()), COMMITTED), what) > 0


def test_a_consumer_that_keeps_the_last_sequence_sees_each_event_once_whatever_is_sent_again() -> None:
    chance = random.Random(7)
    seen = delivered()
    for _ in range(50):
        start = chance.randrange(len(seen))
        again = seen[:start] + [one for back in range(3) for one in seen[max(0, start - back) :]]
        consumer = Deduplicated()
        assert sorted((one for one in again if consumer.is_new(one)), key=seen.index) == seen
