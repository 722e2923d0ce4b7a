"""What is measured of outputs held against the truth, and which sets fit a model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from synapsenet.errors import FailedPrecondition
from synapsenet.inference.evaluation import batches, inputs_of, measured, truth_of
from synapsenet.inference.model import ElementType, Signature, TensorSpec


def signature(*outputs: TensorSpec, inputs: tuple[TensorSpec, ...] = (), is_batched: bool = True) -> Signature:
    return Signature(inputs=inputs, outputs=outputs, batches=is_batched)


SCORES = TensorSpec("scores", ElementType.FLOAT32, (-1, 3))
LABEL = TensorSpec("label", ElementType.INT64, (-1,))
NUMBER = TensorSpec("price", ElementType.FLOAT32, (-1, 1))
NAME = TensorSpec("name", ElementType.STRING, (-1,))
TRUTH = np.array([0, 1, 2, 2])
PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.0, 0.0, 1.0]], np.float32)


def test_accuracy_is_by_the_greatest_score_and_loss_is_cross_entropy_of_probabilities() -> None:
    metrics = measured(signature(SCORES), [PROBABILITIES], TRUTH)
    assert metrics["accuracy"] == 0.75
    assert metrics["loss"] == pytest.approx(-(math.log(0.5) + math.log(0.25) + math.log(0.8) + 0.0) / 4, rel=1e-6)


def test_scores_that_are_no_probabilities_have_no_loss() -> None:
    assert measured(signature(SCORES), [10 * PROBABILITIES], TRUTH) == {"accuracy": 0.75}


def test_an_output_that_names_the_class_decides() -> None:
    metrics = measured(signature(SCORES, LABEL), [10 * PROBABILITIES, np.array([0, 1, 2, 0])], TRUTH)
    assert metrics == {"accuracy": 0.75}


def test_classes_may_be_texts() -> None:
    given = np.array(["cat", "dog", "cat"], object)
    assert measured(signature(NAME), [given], np.array(["cat", "cat", "cat"], object)) == {"accuracy": pytest.approx(2 / 3)}


def test_numbers_are_held_against_numbers() -> None:
    metrics = measured(signature(NUMBER), [np.array([[1.0], [2.0], [6.0]])], np.array([1.0, 4.0, 2.0]))
    assert metrics == {"rmse": pytest.approx(math.sqrt(20 / 3)), "mae": pytest.approx(2.0)}


def test_one_probability_of_two_classes_is_measured_as_such() -> None:
    metrics = measured(signature(NUMBER), [np.array([[0.9], [0.6]])], np.array([1, 0]))
    assert metrics == {"accuracy": 0.5, "loss": pytest.approx(-(math.log(0.9) + math.log(0.4)) / 2)}


def test_classes_that_the_model_does_not_know_are_refused() -> None:
    with pytest.raises(FailedPrecondition, match="outside the model's 3"):
        measured(signature(SCORES), [PROBABILITIES], np.array([0, 1, 2, 3]))


def test_an_output_that_has_other_rows_than_the_examples_says_nothing_of_them() -> None:
    with pytest.raises(FailedPrecondition, match="neither a class nor scores"):
        measured(signature(SCORES), [PROBABILITIES[:1]], TRUTH)


PIXELS = TensorSpec("pixels", ElementType.FLOAT32, (-1, 3))
COLUMNS: dict[str, Any] = {
    "id": np.arange(2),
    "a:width": np.array([1, 2]),
    "a:sides": np.array([[3.0, 4.0], [5.0, 6.0]]),
    "a:label": np.array([0, 1]),
}


def test_a_single_input_is_fed_with_all_features_side_by_side() -> None:
    (fed,) = inputs_of(signature(LABEL, inputs=(PIXELS,)), COLUMNS, label="a:label")
    assert fed.dtype == np.float32
    np.testing.assert_array_equal(fed, [[1, 3, 4], [2, 5, 6]])


def test_a_column_of_the_inputs_name_feeds_it() -> None:
    specs = (TensorSpec("width", ElementType.FLOAT32, (-1,)), TensorSpec("sides", ElementType.FLOAT64, (-1, 2)))
    width, sides = inputs_of(signature(LABEL, inputs=specs), COLUMNS, label="a:label")
    assert (width.tolist(), sides.tolist()) == ([1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]])


@pytest.mark.parametrize(
    ("specs", "says"),
    [
        ((TensorSpec("pixels", ElementType.FLOAT32, (-1, 4)),), "3 numbers an example"),
        ((PIXELS, TensorSpec("more", ElementType.FLOAT32, (-1, 1))), "no one column is called 'pixels'"),
    ],
)
def test_a_set_that_does_not_fit_says_where(specs: tuple[TensorSpec, ...], says: str) -> None:
    with pytest.raises(FailedPrecondition, match=says):
        inputs_of(signature(LABEL, inputs=specs), COLUMNS, label="a:label")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, "no column 'a:label'"),
        ({"a:label": np.array([])}, "no examples"),
        ({"a:label": np.zeros((2, 2))}, "holds vectors"),
        ({"a:label": np.array([0.0, math.nan])}, "missing values"),
    ],
)
def test_a_truth_that_is_none_is_refused(columns: dict[str, Any], says: str) -> None:
    with pytest.raises(FailedPrecondition, match=says):
        truth_of(columns, "a:label")


@pytest.mark.parametrize(("is_batched", "parts"), [(True, [1_024, 1_024, 52]), (False, [1] * 2_100)])
def test_rows_are_run_in_parts_that_the_model_takes(is_batched: bool, parts: list[int]) -> None:
    rows = np.zeros((2_100, 3), np.float32)
    given = batches(signature(LABEL, inputs=(PIXELS,), is_batched=is_batched), [rows])
    assert [len(part[0]) for part in given] == parts
