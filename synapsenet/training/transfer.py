"""Flat buffers in pieces: how a transfer is cut into bounded chunks, and put together again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from synapsenet.training.refusal import Action, Code, Refused
from synapsenet.training.schema import FLOAT32, Vector


def cut(size: int, *, limit: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the chunks of `size` bytes, in order, each `limit` bytes but for the last."""
    for start in range(0, size, limit):
        yield start, min(start + limit, size)


class Assembly:
    """A transfer of float32 numbers that arrives chunk by chunk, in order and without gaps, into memory of its own."""

    def __init__(self, count: int) -> None:
        self._vector = np.empty(count, FLOAT32)
        self._bytes = self._vector.data.cast("B")
        self._received = 0

    @property
    def received(self) -> int:
        """Bytes so far."""
        return self._received

    def add(self, offset: int, data: bytes) -> None:
        """Take the next chunk.

        Raises:
            Refused: SHAPE, it does not start where the one before ended or goes beyond the end.
        """
        end = offset + len(data)
        if offset != self._received or end > len(self._bytes):
            raise Refused(
                Code.SHAPE,
                Action.STOP,
                f"a chunk covers bytes {offset} to {end}, expected one from {self._received} up to at most {len(self._bytes)}",
            )
        self._bytes[offset:end] = data
        self._received = end

    def finish(self) -> Vector:
        """The whole vector.

        Raises:
            Refused: INCOMPLETE, bytes are missing.
        """
        if self._received != len(self._bytes):
            raise Refused(Code.INCOMPLETE, Action.RESEND, f"{self._received} of {len(self._bytes)} bytes have arrived")
        return self._vector
