"""The checker of lock histories finds what is wrong in them: sound ones are changed in one place, and every change is seen."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.cluster.lock_history import Episode, longest_gap, violations

SPANS = st.lists(st.tuples(st.floats(0.001, 5), st.floats(0.001, 5), st.integers(1, 1 << 41)), min_size=2, max_size=20)


def sound(spans: list[tuple[float, float, int]]) -> list[Episode]:
    """A history of one lock: episodes one after the other, with growing tokens."""
    history, now, token = [], 100.0, 0
    for number, (pause, length, step) in enumerate(spans):
        token += step
        history.append(Episode(holder=f"h{number}", token=token, since=now + pause, until=now + pause + length))
        now += pause + length
    return history


@given(SPANS)
def test_a_sound_history_has_no_violation_in_whatever_order_it_was_written_down(spans: list[tuple[float, float, int]]) -> None:
    assert list(violations(sound(spans)[::-1])) == []


@given(SPANS, st.data())
def test_a_holder_who_began_before_the_former_had_ended_is_named(
    spans: list[tuple[float, float, int]], data: st.DataObject
) -> None:
    history = sound(spans)
    at = data.draw(st.integers(1, len(history) - 1))
    former = history[at - 1]
    history[at] = replace(history[at], since=(former.since + former.until) / 2)
    assert any(f"{history[at].holder} held it while {former.holder} did" in sentence for sentence in violations(history))


@given(SPANS, st.data())
def test_a_token_that_did_not_grow_is_named(spans: list[tuple[float, float, int]], data: st.DataObject) -> None:
    history = sound(spans)
    at = data.draw(st.integers(1, len(history) - 1))
    history[at] = replace(history[at], token=data.draw(st.integers(0, history[at - 1].token)))
    assert any(sentence.startswith(f"{history[at].holder} has token") for sentence in violations(history))


@given(SPANS, st.data())
def test_an_episode_that_ends_before_it_begins_is_named(spans: list[tuple[float, float, int]], data: st.DataObject) -> None:
    history = sound(spans)
    at = data.draw(st.integers(0, len(history) - 1))
    history[at] = replace(history[at], until=history[at].since - 0.001)
    assert f"{history[at].holder} held it until before it had it" in list(violations(history))


def test_a_time_without_any_holder_is_measured() -> None:
    history = sound([(1.0, 1.0, 1), (7.0, 1.0, 1), (1.0, 1.0, 1)])
    assert longest_gap(history, begin=100.0, end=112.0) == 8.0
    assert longest_gap([], begin=100.0, end=112.0) == 12.0
