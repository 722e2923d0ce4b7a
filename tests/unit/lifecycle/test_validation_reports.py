"""Thresholds held against what was measured; wishes refused before anything is looked at."""

from __future__ import annotations

import pytest

from synapsenet.errors import InvalidArgument
from synapsenet.lifecycle.report import Comparator, Threshold, judged
from synapsenet.lifecycle.validation import thresholds_input, thresholds_of
from synapsenet.lifecycle.wishes import DeployWish, Patience, ValidationWish

ACCURATE = Threshold(metric="accuracy", comparator=Comparator.AT_LEAST, value=0.95)


@pytest.mark.parametrize(
    ("comparator", "below", "at", "above"),
    [
        (Comparator.LESS, True, False, False),
        (Comparator.AT_MOST, True, True, False),
        (Comparator.AT_LEAST, False, True, True),
        (Comparator.MORE, False, False, True),
    ],
)
def test_a_comparator_holds_on_its_side_of_the_value(comparator: Comparator, below: bool, at: bool, above: bool) -> None:
    assert [comparator.holds(measured, 0.5) for measured in (0.25, 0.5, 0.75)] == [below, at, above]


def test_what_falls_short_is_said_with_what_was_measured() -> None:
    results, reason = judged([ACCURATE], {"accuracy": 0.9})
    assert not results[0].passed
    assert reason == "accuracy>=0.95 was asked for, and accuracy is 0.9"


def test_a_metric_that_was_not_measured_falls_short() -> None:
    _, reason = judged([ACCURATE], {"loss": 0.1})
    assert reason == "accuracy>=0.95 was asked for, and accuracy was not measured"


def test_without_thresholds_everything_passes() -> None:
    assert judged([], {"accuracy": 0.0}) == ((), "")


def test_thresholds_come_back_from_an_operations_input_as_they_were() -> None:
    assert thresholds_of({"thresholds": thresholds_input([ACCURATE])}) == [ACCURATE]


def test_a_threshold_needs_a_metric_and_a_finite_value() -> None:
    for metric, value in (("", 0.5), ("accuracy", float("nan")), ("accuracy", float("inf"))):
        with pytest.raises(InvalidArgument, match="a threshold needs a metric and a finite value"):
            Threshold(metric=metric, comparator=Comparator.MORE, value=value)


def test_thresholds_and_labels_need_an_evaluation_set_and_it_needs_a_label() -> None:
    with pytest.raises(InvalidArgument) as refused:
        ValidationWish(thresholds=(ACCURATE,))
    assert refused.value.field == "evaluation_set_id"
    with pytest.raises(InvalidArgument) as refused:
        ValidationWish(evaluation_set_id="ts-1")
    assert refused.value.field == "label"


@pytest.mark.parametrize("traffic", [{1: 0.5}, {1: 0.5, 2: 0.6}, {1: -0.5, 2: 1.5}, {1: float("nan")}])
def test_shares_that_are_not_all_of_the_traffic_are_refused(traffic: dict[int, float]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        DeployWish(traffic=traffic)
    assert refused.value.reason == "TRAFFIC_INVALID"


def test_shares_that_add_up_but_for_rounding_are_taken() -> None:
    assert DeployWish(traffic={1: 0.1, 2: 0.2, 3: 0.7}).input["traffic"] == {"1": 0.1, "2": 0.2, "3": 0.7}


@pytest.mark.parametrize("wait", [-1.0, float("nan"), float("inf")])
def test_a_wait_is_a_finite_time(wait: float) -> None:
    with pytest.raises(InvalidArgument):
        Patience(wait=wait)
