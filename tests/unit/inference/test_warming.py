"""The first run of a model: zeros of its signature, and its outputs held against what it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synapsenet.errors import FailedPrecondition
from synapsenet.inference.model import ElementType, Signature, TensorSpec
from synapsenet.inference.warming import check_promise, zeros

SIGNATURE = Signature(
    inputs=(TensorSpec("pixels", ElementType.FLOAT32, (-1, 8)), TensorSpec("words", ElementType.STRING, (-1, 2))),
    outputs=(TensorSpec("scores", ElementType.FLOAT32, (-1, 3)), TensorSpec("label", ElementType.INT64, (-1,))),
    batches=True,
)
SCORES, LABEL = np.zeros((1, 3), np.float32), np.zeros(1, np.int64)


def test_every_input_has_zeros_or_empty_texts_and_extents_that_vary_are_one() -> None:
    pixels, words = zeros(SIGNATURE)
    assert (pixels.shape, pixels.dtype) == ((1, 8), np.dtype(np.float32))
    assert not pixels.any()
    assert (words.shape, words.tolist()) == ((1, 2), [["", ""]])


def test_what_is_promised_passes() -> None:
    check_promise(SIGNATURE, [SCORES, LABEL])
    check_promise(SIGNATURE, [np.zeros((5, 3), np.float32), np.zeros(2, np.int64)])  # rows may be other ones


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ([SCORES], "1 outputs instead of 2"),
        ([SCORES, LABEL.astype(np.int32)], "'label' is of int32"),
        ([np.zeros((1, 4), np.float32), LABEL], r"'scores' has shape \[1, 4\]"),
        ([np.zeros(3, np.float32), LABEL], r"'scores' has shape \[3\]"),
    ],
)
def test_what_is_not_promised_is_named(outputs: list[Any], says: str) -> None:
    with pytest.raises(FailedPrecondition, match=says) as refusal:
        check_promise(SIGNATURE, outputs)
    assert refusal.value.reason == "PROMISE_BROKEN"
