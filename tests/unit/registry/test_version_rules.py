"""What may be said about a version, and which signatures an artifact may have."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from synapsenet.errors import InvalidArgument
from synapsenet.registry.aliases import AliasWish
from synapsenet.registry.model import Source, VersionChange, VersionWish
from synapsenet.registry.signature import FREE, ElementType, Signature, TensorSpec
from synapsenet.testing.registry import SIGNATURE


def tensor(name: str = "x", element_type: ElementType = ElementType.FLOAT32, shape: tuple[int, ...] | None = ()) -> TensorSpec:
    return TensorSpec(name=name, element_type=element_type, shape=shape)


@pytest.mark.parametrize("metrics", [{"a": math.nan}, {"a": math.inf}, {"": 1.0}, {str(at): 0.0 for at in range(257)}])
def test_metrics_are_named_and_finite(metrics: Mapping[str, float]) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        VersionWish(model="digits", metrics=metrics)
    assert (refusal.value.reason, refusal.value.field) == ("METRICS_INVALID", "metrics")


@pytest.mark.parametrize("labels", [{"": "x"}, {"k" * 64: ""}, {"k": "v" * 257}, {str(at): "" for at in range(65)}])
def test_labels_have_bounds(labels: Mapping[str, str]) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        VersionChange(labels=labels)
    assert (refusal.value.reason, refusal.value.field) == ("LABELS_INVALID", "labels")


def test_texts_have_bounds() -> None:
    with pytest.raises(InvalidArgument, match="description"):
        VersionWish(model="digits", description="x" * 4_097)
    with pytest.raises(InvalidArgument, match=r"source\.reference"):
        VersionWish(model="digits", source=Source(reference="x" * 1_025))


def test_a_change_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        VersionChange()
    assert refusal.value.reason == "UPDATE_EMPTY"


@pytest.mark.parametrize("name", ["", "1", "3rd", "Champion", "a_b", "a b", "a" * 64])
def test_an_alias_cannot_be_mistaken_for_a_number_or_a_name_in_another_case(name: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        AliasWish(model="digits", name=name, number=1)
    assert (refusal.value.reason, refusal.value.field) == ("ALIAS_INVALID", "alias")


@pytest.mark.parametrize(
    ("declared", "actual"),
    [
        (tensor(shape=(2, 3)), tensor(shape=(2, 3))),
        (tensor(shape=(FREE, 3)), tensor(shape=(2, 3))),
        (tensor(shape=(2, 3)), tensor(shape=(FREE, 3))),
        (tensor(shape=None), tensor(shape=(2, 3))),
        (tensor(shape=(2, 3)), tensor(shape=None)),
    ],
)
def test_what_either_side_leaves_open_fits(declared: TensorSpec, actual: TensorSpec) -> None:
    assert declared.admits(actual)


@pytest.mark.parametrize(
    "actual",
    [
        tensor(shape=(3, 3)),
        tensor(shape=(2,)),
        tensor(shape=()),
        tensor(name="y", shape=(2, 3)),
        tensor(element_type=ElementType.FLOAT64, shape=(2, 3)),
    ],
)
def test_another_name_type_rank_or_size_does_not_fit(actual: TensorSpec) -> None:
    assert not tensor(shape=(2, 3)).admits(actual)


def test_a_signature_that_the_artifact_breaks_is_told_with_both_sides() -> None:
    actual = Signature(inputs=(tensor("pixels", shape=(FREE, 63)),), outputs=SIGNATURE.outputs)
    with pytest.raises(InvalidArgument) as refusal:
        SIGNATURE.check(actual)
    assert refusal.value.reason == "ARTIFACT_SIGNATURE_MISMATCH"
    assert "pixels float32 [-1, 64]" in refusal.value.public
    assert "pixels float32 [-1, 63]" in refusal.value.public


def test_a_signature_with_another_number_of_tensors_is_broken() -> None:
    with pytest.raises(InvalidArgument, match="1 inputs are declared, the artifact has 0"):
        SIGNATURE.check(Signature(inputs=(), outputs=SIGNATURE.outputs))


def test_a_signature_has_outputs_and_names_each_tensor_once() -> None:
    for inputs, outputs in [((), ()), ((), (tensor(), tensor())), ((tensor(), tensor()), (tensor(),))]:
        with pytest.raises(InvalidArgument) as refusal:
            Signature(inputs=inputs, outputs=outputs)
        assert refusal.value.reason == "SIGNATURE_INVALID"
    Signature(inputs=(tensor(),), outputs=(tensor(),))
