"""Backoff and budget of a child that dies."""

from __future__ import annotations

from random import Random

import pytest

from synapsenet.errors import InvalidArgument
from synapsenet_servers.children.restart import Restart, RestartBudget

STEADY = Restart(budget=4, window=60, first=0.1, factor=2, longest=0.5, jitter=0)


def test_the_delay_doubles_up_to_the_longest_and_then_the_child_is_given_up() -> None:
    budget = RestartBudget(STEADY, Random(0))
    assert [budget.next_delay(float(second)) for second in range(5)] == [0.1, 0.2, 0.4, 0.5, None]


def test_a_child_that_stayed_up_for_the_window_starts_afresh() -> None:
    budget = RestartBudget(STEADY, Random(0))
    for second in range(4):
        budget.next_delay(float(second))
    assert budget.next_delay(59.9) is None
    assert budget.next_delay(63.0) == 0.1


def test_the_budget_comes_back_one_by_one_as_deaths_leave_the_window() -> None:
    budget = RestartBudget(STEADY, Random(0))
    for second in (0.0, 10.0, 20.0, 30.0):
        budget.next_delay(second)
    assert budget.next_delay(60.0) == 0.5
    assert budget.next_delay(61.0) is None


def test_jitter_takes_off_at_most_its_fraction_and_differs_between_children() -> None:
    policy = Restart(first=1.0, jitter=0.3)
    delays = {RestartBudget(policy, Random(seed)).next_delay(0.0) for seed in range(50)}
    assert len(delays) == 50
    assert all(delay is not None and 0.7 <= delay <= 1.0 for delay in delays)


@pytest.mark.parametrize(
    "wrong",
    [{"budget": 0}, {"window": 0.0}, {"first": 0.0}, {"longest": 0.01}, {"factor": 0.5}, {"jitter": 1.5}, {"jitter": -0.1}],
)
def test_a_policy_that_could_not_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument, match="restart"):
        Restart(**wrong)  # type: ignore[arg-type]  # a row of mixed int and float options
