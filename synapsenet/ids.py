"""Where the ids of new things come from."""

from __future__ import annotations

import random
import secrets
from abc import ABC, abstractmethod

_BYTES = 8


class IdSource(ABC):
    """Names new things of one kind: `run-5f0c…`. No two answers of one source are equal."""

    @abstractmethod
    def next(self) -> str:
        """A new id: the kind, a dash, 16 lower-case hexadecimal digits."""


class RandomIds(IdSource):
    """Ids from the operating system's randomness."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def next(self) -> str:
        return f"{self._kind}-{secrets.token_hex(_BYTES)}"


class SeededIds(IdSource):
    """The same ids in the same order for the same kind and seed; for recordings and tests."""

    def __init__(self, kind: str, seed: int) -> None:
        self._kind = kind
        self._random = random.Random(f"{kind}:{seed}")

    def next(self) -> str:
        return f"{self._kind}-{self._random.randbytes(_BYTES).hex()}"
