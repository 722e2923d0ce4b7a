"""safetensors files: whether a file is one, from its header and its size alone.

The layout: 8 bytes with the header's length (little-endian), the header (JSON: a tensor's name → dtype, shape and the range of
its bytes), then the tensors' bytes without gaps.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

from synapsenet.errors import InvalidArgument
from synapsenet.registry.ports import Inspection

_PREFIX = 8
_LARGEST_HEADER = 100_000_000
_METADATA = "__metadata__"
_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E5M2": 1,
    "F8_E4M3": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}


class SafetensorsInspection(Inspection):
    """Keeps the header alone, however large the tensors are."""

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._head = bytearray()

    def feed(self, chunk: bytes) -> None:
        missing = self._wanted() - len(self._head)
        if missing > 0:
            self._head += chunk[:missing]
            self._head += chunk[missing : missing + max(0, self._wanted() - len(self._head))]

    async def conclude(self) -> None:
        await asyncio.to_thread(check_header, bytes(self._head), size=self._size)

    def _wanted(self) -> int:
        """How many of the first bytes matter, as far as is known yet."""
        if len(self._head) < _PREFIX:
            return _PREFIX
        return _PREFIX + min(int.from_bytes(self._head[:_PREFIX], "little"), _LARGEST_HEADER)


def check_header(head: bytes, *, size: int) -> None:
    """Pass if `head` is the beginning of a safetensors file of `size` bytes.

    Raises:
        InvalidArgument: ARTIFACT_NOT_SAFETENSORS.
    """
    length = int.from_bytes(head[:_PREFIX], "little")
    if len(head) < _PREFIX or length > min(_LARGEST_HEADER, size - _PREFIX):
        raise _not_safetensors("its header is longer than the file")
    try:
        header = json.loads(head[_PREFIX : _PREFIX + length], object_pairs_hook=_unique)
        ranges = sorted(_range(name, tensor) for name, tensor in header.items() if name != _METADATA)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _not_safetensors("its header cannot be read") from error
    end = 0
    for start, stop in ranges:
        if start != end:
            raise _not_safetensors("its tensors overlap or leave gaps")
        end = stop
    if end != size - _PREFIX - length:
        raise _not_safetensors("its tensors do not fill the file")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a name stands twice")
    return names


def _range(name: str, tensor: Any) -> tuple[int, int]:
    start, stop = tensor["data_offsets"]
    shape = tensor["shape"]
    if not all(type(number) is int and number >= 0 for number in (start, stop, *shape)):
        raise ValueError(f"{name}: sizes and offsets are not natural numbers")
    if stop - start != math.prod(shape) * _BYTES[tensor["dtype"]]:
        raise ValueError(f"{name}: bytes and shape differ")
    return start, stop


def _not_safetensors(what: str) -> InvalidArgument:
    return InvalidArgument(
        "ARTIFACT_NOT_SAFETENSORS",
        f"the artifact is declared as safetensors, and {what}",
        field="data",
        remedy="save the tensors with the safetensors library and upload that file",
    )
