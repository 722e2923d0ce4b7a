"""Shares of the requests that name no version: kept to at every moment, and never given to nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapsenet.errors import FailedPrecondition, InvalidArgument
from synapsenet.inference.routing import Shares, Spread, shares_without, wished_shares


@st.composite
def shares(draw: st.DrawFn) -> Shares:
    weights = draw(st.lists(st.integers(1, 1_000), min_size=1, max_size=5))
    return {version: weight / sum(weights) for version, weight in enumerate(weights, start=1)}


@given(shares(), st.integers(1, 300))
def test_each_version_has_had_its_share_after_any_number_of_requests(shares: Shares, requests: int) -> None:
    spread, counted = Spread(shares), dict.fromkeys(shares, 0)
    for _ in range(requests):
        turn = spread.next(shares)
        assert turn is not None
        counted[turn] += 1
    for version, share in shares.items():
        assert abs(counted[version] - share * requests) <= len(shares) - 1 + 1e-6


@given(shares(), st.data())
def test_whoever_is_there_and_has_a_share_takes_the_turns_of_those_that_are_not(shares: Shares, data: st.DataObject) -> None:
    there = data.draw(st.sets(st.sampled_from(sorted(shares)), min_size=1))
    spread = Spread(shares)
    assert {spread.next(there) for _ in range(50)} <= there
    assert None not in {spread.next(there) for _ in range(5)}


def test_nobody_is_chosen_who_has_no_share() -> None:
    spread = Spread({1: 1.0, 2: 0.0})
    assert spread.next([2, 3]) is None
    assert spread.next([]) is None
    assert [spread.next([1, 2]) for _ in range(3)] == [1, 1, 1]


@given(shares(), st.data())
def test_the_others_share_what_one_leaves_and_it_adds_up_to_one(shares: Shares, data: st.DataObject) -> None:
    leaving = data.draw(st.sampled_from(sorted(shares)))
    left = shares_without(leaving, shares, serving=sorted(shares))
    assert leaving not in left
    assert (sum(left.values()) == pytest.approx(1.0)) if len(shares) > 1 else (left == {})


def test_the_one_deployed_last_takes_over_from_the_only_one_with_traffic() -> None:
    assert shares_without(3, {3: 1.0}, serving=[2, 1, 3]) == {1: 1.0}
    assert shares_without(1, {3: 1.0}, serving=[2, 1, 3]) == {3: 1.0}


@pytest.mark.parametrize("wished", [{"1": 0.5}, {"1": 0.7, "2": 0.7}, {"1": -0.5, "2": 1.5}, {"1": float("nan")}, {}])
def test_shares_that_do_not_add_up_are_refused(wished: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument, match="add up to 1"):
        wished_shares(wished, serving=[1, 2], title="digits")


def test_traffic_goes_to_versions_that_serve() -> None:
    assert wished_shares({"1": 0.25, "2": 0.75}, serving=[1, 2, 3], title="digits") == {1: 0.25, 2: 0.75}
    with pytest.raises(FailedPrecondition, match="version 4 of model digits"):
        wished_shares({"1": 0.5, "4": 0.5}, serving=[1, 2], title="digits")
