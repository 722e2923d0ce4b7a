"""What is checked of tensors before they wait, and what is said about wrong ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapsenet.errors import InvalidArgument
from synapsenet.inference.model import ElementType, Signature, TensorSpec
from synapsenet.inference.tensors import (
    Tensor,
    check_inputs,
    check_outputs,
    numpy_type,
    packed_strings,
    travelling,
    unpacked_strings,
)

IMAGE = TensorSpec("image", ElementType.FLOAT32, (-1, 2))
MASK = TensorSpec("mask", ElementType.BOOL, (-1,))
SIGNATURE = Signature(inputs=(IMAGE, MASK), outputs=(TensorSpec("a", ElementType.FLOAT32, (-1,)), MASK), batches=True)
WORDS = Signature(inputs=(TensorSpec("words", ElementType.STRING, (-1,)),), outputs=(), batches=True)

image = Tensor(name="image", element_type=ElementType.FLOAT32, shape=(3, 2), data=np.arange(6, dtype="<f4").tobytes())
mask = Tensor(name="mask", element_type=ElementType.BOOL, shape=(3,), data=b"\1\0\1")


def refusal(*tensors: Tensor, signature: Signature = SIGNATURE, max_rows: int = 100) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as refused:
        check_inputs(signature, tensors, max_rows=max_rows)
    return refused.value


def test_good_tensors_become_arrays_in_the_models_order() -> None:
    inputs = check_inputs(SIGNATURE, [mask, image], max_rows=3)
    assert inputs.rows == 3
    assert inputs.size == 27
    assert inputs.kind == ((2,), ())
    assert inputs.arrays[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert inputs.arrays[1].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("wrong", "reason", "field", "told"),
    [
        (replace(image, name="picture"), "TENSOR_UNKNOWN", "inputs[0].name", "'image' as FLOAT32[-1, 2]"),
        (replace(image, element_type=ElementType.FLOAT64), "TENSOR_TYPE", "inputs[0].element_type", "FLOAT32[-1, 2]"),
        (replace(image, element_type=None), "TENSOR_TYPE", "inputs[0].element_type", "no type"),
        (replace(image, shape=(3, 3)), "TENSOR_SHAPE", "inputs[0].shape", "[3, 3]"),
        (replace(image, shape=(6,)), "TENSOR_SHAPE", "inputs[0].shape", "[6]"),
        (replace(image, shape=(-3, 2)), "TENSOR_SHAPE", "inputs[0].shape", "[-3, 2]"),
        (replace(image, data=image.data[:-1]), "TENSOR_CONTENTS", "inputs[0].data", "has 23 bytes"),
        (replace(image, data=image.data + b"\0"), "TENSOR_CONTENTS", "inputs[0].data", "exactly 24"),
        (replace(image, shape=(1 << 40, 2)), "TENSOR_CONTENTS", "inputs[0].data", "exactly 8796093022208"),
        (replace(image, shape=(2, 2), data=image.data[:16]), "TENSOR_ROWS", "inputs", "'mask' has 3 rows"),
    ],
)
def test_a_wrong_tensor_is_named_with_what_was_expected(wrong: Tensor, reason: str, field: str, told: str) -> None:
    error = refusal(wrong, mask)
    assert (error.reason, error.field) == (reason, field)
    assert told in error.public


def test_a_missing_and_a_repeated_tensor_are_named() -> None:
    missing = refusal(image)
    assert missing.reason == "TENSOR_MISSING"
    assert "'mask'" in missing.public
    assert refusal(image, image, mask).reason == "TENSOR_TWICE"


@pytest.mark.parametrize("rows", [0, 4])
def test_a_request_has_at_least_one_row_and_at_most_the_limit(rows: int) -> None:
    only = Signature(inputs=(MASK,), outputs=(), batches=True)
    error = refusal(replace(mask, shape=(rows,), data=b"\0" * rows), signature=only, max_rows=3)
    assert error.reason == "REQUEST_ROWS"
    assert "1 to 3 rows" in error.public


def test_a_model_that_does_not_batch_takes_its_tensors_as_they_are() -> None:
    fixed = Signature(inputs=(TensorSpec("x", ElementType.INT64, ()),), outputs=(), batches=False)
    scalar = Tensor(name="x", element_type=ElementType.INT64, shape=(), data=np.int64(7).tobytes())
    inputs = check_inputs(fixed, [scalar], max_rows=1)
    assert inputs.arrays[0].shape == ()
    assert inputs.rows == 1


@pytest.mark.parametrize(
    "data",
    [b"\1\0\0", b"\5\0\0\0abc", packed_strings([b"only one"]), packed_strings([b"a", b"\xff"])],
    ids=["cut length", "cut text", "too few", "no UTF-8"],
)
def test_texts_that_are_cut_short_miscounted_or_no_utf8_are_refused(data: bytes) -> None:
    error = refusal(Tensor(name="words", element_type=ElementType.STRING, shape=(2,), data=data), signature=WORDS)
    assert (error.reason, error.field) == ("TENSOR_CONTENTS", "inputs[0].data")


@given(st.lists(st.text(), min_size=1))
def test_texts_travel_there_and_back(texts: list[str]) -> None:
    packed = packed_strings(text.encode() for text in texts)
    tensor = Tensor(name="words", element_type=ElementType.STRING, shape=(len(texts),), data=packed)
    (array,) = check_inputs(WORDS, [tensor], max_rows=1_000).arrays
    assert array.tolist() == texts
    assert travelling(WORDS.inputs[0], array) == tensor
    assert unpacked_strings(packed) == [text.encode() for text in texts]


@given(
    element_type=st.sampled_from([one for one in ElementType if one not in (ElementType.STRING, ElementType.BFLOAT16)]),
    shape=st.tuples(st.integers(1, 4), st.integers(0, 3)),
    seed=st.integers(0, 99),
)
def test_numbers_travel_there_and_back_bit_for_bit(element_type: ElementType, shape: tuple[int, int], seed: int) -> None:
    dtype = numpy_type(element_type)
    assert dtype is not None
    size = shape[0] * shape[1] * dtype.itemsize
    noise = np.random.default_rng(seed).integers(0, 2, size, dtype=np.uint8)
    spec = TensorSpec("x", element_type, (-1, -1))
    sent = Tensor(name="x", element_type=element_type, shape=shape, data=noise.tobytes())
    signature = Signature(inputs=(spec,), outputs=(spec,), batches=True)
    (array,) = check_inputs(signature, [sent], max_rows=9).arrays
    assert travelling(spec, array) == sent


def test_outputs_are_given_in_the_order_asked_for_and_unknown_ones_are_named() -> None:
    assert check_outputs(SIGNATURE, []) == (0, 1)
    assert check_outputs(SIGNATURE, ["mask", "a"]) == (1, 0)
    with pytest.raises(InvalidArgument, match="no output 'b': name some of: a, mask") as refused:
        check_outputs(SIGNATURE, ["a", "b"])
    assert refused.value.field == "output_names[1]"
