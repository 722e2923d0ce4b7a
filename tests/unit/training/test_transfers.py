"""Layout and transfer of parameters: schema, chunks, parameter file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from synapsenet.errors import InvalidArgument
from synapsenet.training.parameter_file import file_header
from synapsenet.training.refusal import Action, Code, Refused
from synapsenet.training.schema import FLOAT32, ParameterSchema
from synapsenet.training.transfer import Assembly, cut

SCHEMA = ParameterSchema.of([("weight", (2, 3)), ("bias", (3,)), ("größe", ())])
DIGEST = "f6d43e3659ca2829a4b1997e9ade65fab99e44989e8930533bbead2b84b263e5"


def test_tensors_lie_one_after_the_other_without_gaps() -> None:
    assert [(tensor.name, tensor.offset, tensor.size) for tensor in SCHEMA.tensors] == [
        ("weight", 0, 24),
        ("bias", 24, 12),
        ("größe", 36, 4),
    ]
    assert (SCHEMA.count, SCHEMA.size) == (10, 40)


def test_views_share_the_memory_of_the_flat_buffer() -> None:
    flat = np.arange(10, dtype=FLOAT32)
    views = SCHEMA.views(flat)
    views["bias"][1] = 99
    assert flat[7] == 99
    assert SCHEMA.flatten(views).tobytes() == flat.tobytes()


@pytest.mark.parametrize(
    "shapes", [[], [("a", (2,)), ("a", (3,))], [("a", (2, 0))], [("", (1,))]], ids=["none", "twice", "empty", "nameless"]
)
def test_a_layout_that_is_none_is_refused(shapes: list[tuple[str, tuple[int, ...]]]) -> None:
    with pytest.raises(InvalidArgument) as raised:
        ParameterSchema.of(shapes)
    assert raised.value.reason == "PARAMETERS_INVALID"


@pytest.mark.parametrize("flat", [np.zeros(9, FLOAT32), np.zeros(10), np.zeros((2, 5), FLOAT32)])
def test_a_buffer_of_another_length_or_type_is_refused(flat: np.ndarray) -> None:
    with pytest.raises(InvalidArgument, match=r"give float32 of shape \(10,\)"):
        SCHEMA.check(flat)


def test_every_part_of_the_layout_is_in_the_digest() -> None:
    others = [[("weight", (3, 2)), ("bias", (4,))], [("weight", (2, 3)), ("bias", (4,))], [("w", (2, 3)), ("bias", (4,))]]
    digests = {ParameterSchema.of(shapes).digest for shapes in others} | {SCHEMA.digest}
    assert len(digests) == 4
    assert SCHEMA.digest.hex() == DIGEST


@given(size=st.integers(1, 500), limit=st.integers(1, 600))
def test_chunks_cover_everything_in_order_and_keep_the_limit(size: int, limit: int) -> None:
    chunks = list(cut(size, limit=limit))
    assert [place for start, end in chunks for place in range(start, end)] == list(range(size))
    assert all(end - start == limit for start, end in chunks[:-1])
    assert 0 < chunks[-1][1] - chunks[-1][0] <= limit


@given(values=st.lists(st.floats(width=32), min_size=1, max_size=50), limit=st.integers(1, 64))
def test_what_was_cut_is_put_together_to_the_bit(values: list[float], limit: int) -> None:
    raw = np.array(values, FLOAT32).tobytes()
    assembly = Assembly(len(values))
    for start, end in cut(len(raw), limit=limit):
        assembly.add(start, raw[start:end])
    assert assembly.finish().tobytes() == raw


@pytest.mark.parametrize(("offset", "length"), [(4, 4), (12, 4), (8, 36), (0, 4)], ids=["back", "gap", "beyond", "again"])
def test_a_chunk_out_of_place_is_refused(offset: int, length: int) -> None:
    assembly = Assembly(10)
    assembly.add(0, bytes(8))
    with pytest.raises(Refused) as refused:
        assembly.add(offset, bytes(length))
    assert (refused.value.code, refused.value.action) == (Code.SHAPE, Action.STOP)


def test_a_transfer_that_is_not_whole_is_refused() -> None:
    assembly = Assembly(10)
    assembly.add(0, bytes(39))
    with pytest.raises(Refused, match="39 of 40 bytes") as refused:
        assembly.finish()
    assert (refused.value.code, refused.value.action) == (Code.INCOMPLETE, Action.RESEND)


def test_the_parameter_file_is_what_safetensors_reads() -> None:
    flat = np.arange(10, dtype=FLOAT32)
    header = file_header(SCHEMA, {"job_id": "job-1", "note": 'quotes " and ü'})
    tensors = load(header + flat.tobytes())
    assert {name: tensor.shape for name, tensor in tensors.items()} == {"weight": (2, 3), "bias": (3,), "größe": ()}
    assert SCHEMA.flatten(tensors).tobytes() == flat.tobytes()
    assert len(header) % 8 == 0
