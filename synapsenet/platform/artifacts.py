"""Artifacts: immutable bytes under the name of their content."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Artifact:
    """What was stored.

    Attributes:
        sha256: 64 lower-case hexadecimal digits; the artifact's name.
        size: bytes.
    """

    sha256: str
    size: int


class ArtifactStore(ABC):
    """Content-addressed storage: the same bytes are stored once; nothing is ever overwritten."""

    @abstractmethod
    async def write(self, chunks: AsyncIterator[bytes], *, limit: int) -> Artifact:
        """Store the concatenation of `chunks`; visible and durable only when whole.

        Raises:
            ResourceExhausted: ARTIFACT_TOO_LARGE, more than `limit` bytes; or STORAGE_FULL.
        """

    @abstractmethod
    def read(self, sha256: str, *, chunk_size: int = 1 << 20) -> AsyncIterator[bytes]:
        """The artifact's bytes, verified against its name as they pass.

        Raises:
            NotFound: ARTIFACT_UNKNOWN.
            DataLoss: ARTIFACT_CORRUPT, the stored bytes are not those that were written; raised before the last chunk.
        """

    @abstractmethod
    async def find(self, sha256: str) -> Artifact | None:
        """The artifact of that name, without reading it."""

    @abstractmethod
    async def delete(self, sha256: str) -> None:
        """Forget the artifact; silent if there is none."""
