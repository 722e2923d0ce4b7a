"""Arrays and sequences travel as the same bytes, and come back as what they were."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapsenet_api.features.v1.feature_group_pb2 import EntityKey, Feature, FeatureGroup
from synapsenet_api.features.v1.value_pb2 import ValueType
from synapsenet_api.inference.v1.tensor_pb2 import ElementType
from synapsenet_client import InvalidArgument, Typed
from synapsenet_client._columns import columns_from, columns_message, parsed_type
from synapsenet_client._enums import enum_name, enum_value
from synapsenet_client._parameters import parameter_value, parameter_values
from synapsenet_client._tensors import arrays, tensors
from synapsenet_client._times import microseconds, timestamp
from synapsenet_client._values import CODES, packed, unpacked

GROUP = FeatureGroup(
    name="digits",
    entity_keys=[EntityKey(name="image_id", type=ValueType.VALUE_TYPE_INT64)],
    features=[
        Feature(name="pixels", type=ValueType.VALUE_TYPE_FLOAT, vector_length=2),
        Feature(name="label", type=ValueType.VALUE_TYPE_INT32),
        Feature(name="note", type=ValueType.VALUE_TYPE_STRING),
        Feature(name="taken", type=ValueType.VALUE_TYPE_TIMESTAMP),
    ],
)


@pytest.fixture
def without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)


@pytest.mark.parametrize("kind", sorted(CODES))
def test_a_sequence_and_an_array_give_the_same_bytes(kind: str) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(CODES[kind])
    assert packed("x", array.tolist(), kind) == packed("x", array, kind) == array.tobytes()
    np.testing.assert_array_equal(unpacked(array.tobytes(), kind, (2, 3)), array)


@pytest.mark.usefixtures("without_numpy")
@pytest.mark.parametrize("kind", sorted(CODES))
def test_without_numpy_values_come_back_as_nested_lists(kind: str) -> None:
    rows = [[0, 1, 1], [1, 0, 1]]
    assert unpacked(packed("x", rows, kind), kind, (2, 3)) == rows


@pytest.mark.parametrize(
    ("values", "kind"), [([300], "INT8"), (np.array([2**40]), "INT32"), (np.array([0.5]), "INT64"), (["x"], "FLOAT32")]
)
def test_a_value_that_does_not_fit_is_named_and_never_wrapped(values: Any, kind: str) -> None:
    with pytest.raises(InvalidArgument, match=f"age: its values are no {kind}"):
        packed("age", values, kind)


def test_an_array_keeps_its_type_as_a_tensor_and_a_sequence_takes_pythons() -> None:
    arrays_given: dict[str, Any] = {"a": np.zeros((2, 3), np.float32), "b": [[1, 2]], "c": [1.5, 2]}
    sent = tensors({**arrays_given, "d": ["x", "yz"], "e": Typed([1], "UINT8")})
    assert [(tensor.element_type, list(tensor.shape)) for tensor in sent] == [
        (12, [2, 3]), (9, [1, 2]), (13, [2]), (14, [2]), (2, [1]),
    ]  # fmt: skip
    back = arrays(sent)
    assert back["a"].dtype == np.float32
    assert back["d"] == [b"x", b"yz"]
    assert back["b"].tolist() == [[1, 2]]


def test_a_bfloat16_tensor_reads_as_float32() -> None:
    (tensor,) = tensors({"x": np.array([0x3F80, 0xC000], np.uint16)})
    tensor.element_type = ElementType.ELEMENT_TYPE_BFLOAT16
    assert arrays([tensor])["x"].tolist() == [1.0, -2.0]


def test_values_without_a_common_type_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="x: its element type cannot be told"):
        tensors({"x": [1, "a"]})


def test_columns_take_the_types_of_the_group() -> None:
    taken = datetime(2026, 1, 1, tzinfo=UTC)
    texts: dict[str, Any] = {"note": ["ä", None], "taken": [taken, None]}
    message = columns_message({"image_id": [1, 2], "pixels": [[0.5, 1.0], None], "label": [7, None], **texts}, GROUP)
    assert [(column.name, column.type, column.vector_length) for column in message.columns] == [
        ("image_id", 3, 0), ("pixels", 4, 2), ("label", 2, 0), ("note", 6, 0), ("taken", 8, 0),
    ]  # fmt: skip
    assert message.nulls == bytes([0, 0, 0, 1, 0, 1, 0, 1, 0, 1])
    back = columns_from(message)
    assert back["pixels"].tolist() == [[0.5, 1.0], [0.0, 0.0]]
    assert back["note"] == ["ä", None]
    assert back["taken"].tolist() == [1_767_225_600_000_000, 0]


def test_columns_of_arrays_are_what_columns_of_lists_are() -> None:
    lists: dict[str, Any] = {"image_id": [1, 2], "pixels": [[0.5, 1.0], [2.0, 3.0]], "label": [7, 8]}
    same = {"image_id": np.array([1, 2]), "pixels": np.array(lists["pixels"], np.float64), "label": np.array([7, 8], np.int8)}
    assert columns_message(lists, GROUP) == columns_message(same, GROUP)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"image_id": [1, 2], "label": [1]}, "image_id has 2, label has 1"),
        ({"pixels": [[1.0, 2.0, 3.0]]}, r"pixels: its shape is \(1, 3\), and \(1, 2\) is wanted"),
        ({"label": ["seven"]}, "label: its values are no INT32"),
        ({"other": np.zeros((2, 2, 2))}, "other: a column holds scalars or vectors"),
    ],
)
def test_columns_that_do_not_fit_are_refused_by_name(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        columns_message(columns, GROUP)


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=1), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_texts_and_integers_survive_the_way(texts: list[str | None], integers: list[int]) -> None:
    rows = min(len(texts), len(integers))
    message = columns_message({"note": texts[:rows], "image_id": integers[:rows]}, GROUP)
    back = columns_from(message)
    assert back["note"] == texts[:rows]
    assert back["image_id"].tolist() == integers[:rows]


@pytest.mark.parametrize(("spelled", "read"), [("INT64", (3, 0)), ("float[64]", (4, 64)), ("value_type_string", (6, 0))])
def test_types_are_written_as_people_do(spelled: str, read: tuple[int, int]) -> None:
    parsed = parsed_type("pixels", spelled)
    assert (parsed.type, parsed.vector_length) == read


@pytest.mark.parametrize("spelled", ["FLOAT[0]", "FLOAT[x]", "FLOAT[3", "QUATERNION"])
def test_a_type_that_does_not_exist_is_refused_by_name(spelled: str) -> None:
    with pytest.raises(InvalidArgument, match="pixels: "):
        parsed_type("pixels", spelled)


def test_an_unknown_enum_value_names_those_that_there_are() -> None:
    with pytest.raises(InvalidArgument, match="type: 'INT' is unknown: choose one of BOOL, INT32"):
        enum_value("type", ValueType, "INT")


def test_instants_are_microseconds_whatever_they_come_as() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    elsewhere = noon.astimezone(timezone(timedelta(hours=5)))
    micros = 1_767_268_800_000_000
    assert microseconds("t", [noon, elsewhere, micros]) == [micros] * 3
    assert microseconds("t", np.array(["2026-01-01T12:00:00"], "datetime64[ms]")) == [micros]
    assert microseconds("t", noon) == [micros]


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="end_time: 2026-01-01T00:00:00 has no time zone"):
        timestamp("end_time", datetime(2026, 1, 1))  # noqa: DTZ001  # the case itself


def test_hyperparameters_keep_their_types_and_nested_ones_are_dotted() -> None:
    sent = parameter_values({"a": 1, "b": {"c": 0.5, "d": {"e": "x"}}, "f": True, "g": np.float32(0.5), "h": np.int64(3)})
    assert {name: parameter_value(value) for name, value in sent.items()} == {
        "a": 1, "b.c": 0.5, "b.d.e": "x", "f": True, "g": 0.5, "h": 3,
    }  # fmt: skip
    assert sent["f"].WhichOneof("kind") == "bool_value"
    assert sent["h"].WhichOneof("kind") == "int_value"
    with pytest.raises(InvalidArgument, match=r"b\.c: a hyperparameter is a number"):
        parameter_values({"b": {"c": [1]}})


def test_a_value_of_an_enum_that_is_newer_than_this_sdk_is_its_number() -> None:
    assert enum_name(ElementType, ElementType.ELEMENT_TYPE_FLOAT32) == "FLOAT32"
    assert enum_name(ElementType, 977) == "977"
