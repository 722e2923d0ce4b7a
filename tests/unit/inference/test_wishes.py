"""What may be wished of a deployment in this release, and what is refused by name."""

from __future__ import annotations

from datetime import timedelta

import pytest

from synapsenet.errors import InvalidArgument, NotYetAvailable
from synapsenet.inference.availability import FUTURE_OPTIONS, refuse_priority, refuse_what_is_to_come
from synapsenet.inference.model import BatchingPolicy
from synapsenet.inference.wish import BatchingMode, BatchingWish, DeploymentWish, DeterminismMode

FUTURE_WISHES = {
    "batching.mode=BATCHING_MODE_ADAPTIVE": DeploymentWish(
        model="m", version=1, batching=BatchingWish(mode=BatchingMode.ADAPTIVE)
    ),
    "batching.slo": DeploymentWish(model="m", version=1, batching=BatchingWish(slo=timedelta(seconds=1))),
    "determinism=DETERMINISM_MODE_NATIVE": DeploymentWish(model="m", version=1, determinism=DeterminismMode.NATIVE),
    "determinism=DETERMINISM_MODE_PADDED": DeploymentWish(model="m", version=1, determinism=DeterminismMode.PADDED),
    "determinism=DETERMINISM_MODE_ROW": DeploymentWish(model="m", version=1, determinism=DeterminismMode.ROW),
}


def test_every_option_that_is_to_come_is_tried_here() -> None:
    assert set(FUTURE_WISHES) == {future.option for future in FUTURE_OPTIONS}


@pytest.mark.parametrize("option", FUTURE_WISHES)
def test_an_option_that_is_to_come_is_refused_by_its_name(option: str) -> None:
    with pytest.raises(NotYetAvailable) as refusal:
        refuse_what_is_to_come(FUTURE_WISHES[option])
    assert refusal.value.reason == "NOT_YET_AVAILABLE"
    assert refusal.value.field == option.partition("=")[0]


@pytest.mark.parametrize("determinism", [None, DeterminismMode.RELAXED])
def test_a_plain_wish_is_granted(determinism: DeterminismMode | None) -> None:
    batching = BatchingWish(mode=BatchingMode.FIXED, max_batch_size=3)
    refuse_what_is_to_come(DeploymentWish(model="m", version=1, batching=batching, determinism=determinism))


def test_what_a_wish_leaves_open_is_filled_from_the_defaults() -> None:
    defaults = BatchingPolicy(max_batch_size=9, max_queued_rows=11)
    assert BatchingWish(max_batch_size=3).filled(defaults) == BatchingPolicy(max_batch_size=3, max_queued_rows=11)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (BatchingWish(max_batch_size=0), "batching.max_batch_size"),
        (BatchingWish(max_linger=timedelta(seconds=-1)), "batching.max_linger"),
        (BatchingWish(max_linger=timedelta(seconds=11)), "batching.max_linger"),
        (BatchingWish(max_queued_rows=0), "batching.max_queued_rows"),
        (BatchingWish(max_queued_bytes=0), "batching.max_queued_bytes"),
        (BatchingWish(max_running_batches=65), "batching.max_running_batches"),
    ],
)
def test_a_policy_that_no_batcher_can_work_with_is_refused_with_its_range(wish: BatchingWish, field: str) -> None:
    with pytest.raises(InvalidArgument, match=r"give [01] to") as refusal:
        wish.filled(BatchingPolicy())
    assert (refusal.value.reason, refusal.value.field) == ("BATCHING_INVALID", field)


def test_priorities_are_to_come_and_have_a_range() -> None:
    refuse_priority(0, field="priority")
    with pytest.raises(NotYetAvailable):
        refuse_priority(9, field="priority")
    with pytest.raises(InvalidArgument):
        refuse_priority(10, field="priority")
