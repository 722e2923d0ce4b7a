"""What may be said about a model."""

from __future__ import annotations

import pytest

from synapsenet.errors import InvalidArgument
from synapsenet.models.model import ModelChange, ModelWish, is_id


@pytest.mark.parametrize("name", ["digits", "a", "Digits-2.0_final", "7b", "x" * 128])
def test_a_plain_name_is_taken(name: str) -> None:
    assert ModelWish(name=name).name == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "a:3", "a@x", "a\n", "ä", "x" * 129, "mdl-1"])
def test_a_name_that_could_be_mistaken_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        ModelWish(name=name)
    assert (refusal.value.reason, refusal.value.field) == ("MODEL_NAME_INVALID", "name")


def test_no_name_is_an_id() -> None:
    assert is_id("mdl-0123456789abcdef")
    assert not is_id(ModelWish(name="mdl").name)


@pytest.mark.parametrize("labels", [{"": "x"}, {"k" * 64: "x"}, {"k": "v" * 257}, {str(number): "" for number in range(65)}])
def test_labels_have_bounds(labels: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        ModelWish(name="digits", labels=labels)
    assert refusal.value.reason == "LABELS_INVALID"


def test_labels_at_their_bounds_are_taken() -> None:
    ModelWish(name="digits", labels={"k" * 63: "v" * 256, **{str(number): "" for number in range(63)}})


def test_a_description_has_a_bound() -> None:
    ModelWish(name="digits", description="x" * 4_096)
    with pytest.raises(InvalidArgument) as refusal:
        ModelChange(description="x" * 4_097)
    assert refusal.value.reason == "DESCRIPTION_TOO_LONG"


def test_a_change_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        ModelChange(etag="r1")
    assert (refusal.value.reason, refusal.value.field) == ("UPDATE_EMPTY", "update_mask")


def test_a_change_to_nothing_is_a_change() -> None:
    assert ModelChange(description="", labels={}).labels == {}
