"""Files on their way to and from the platform: pieces of at most 1 MiB, checked by SHA-256 and size."""

from __future__ import annotations

import hashlib
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar

from synapsenet_client._errors import DataLoss, InvalidArgument

Progress: TypeAlias = Callable[[int, int], None]
"""Called as bytes move, with the bytes done and the bytes in all. It may be called in another thread."""

PIECE_BYTES = 1 << 20
"""The contracts' bound for the pieces of a file, in bytes."""

R = TypeVar("R")


class Payload:
    """Bytes to upload, from a file or from memory.

    Args:
        source: path of a file, or the bytes.

    Raises:
        InvalidArgument: the file cannot be read or is empty.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        self._source = source
        digest = hashlib.sha256()
        self.size = 0
        for piece in self._pieces():
            digest.update(piece)
            self.size += len(piece)
        self.sha256 = digest.hexdigest()
        if not self.size:
            raise InvalidArgument(f"{self._name}: it is empty: there is nothing to upload", reason="FILE_EMPTY")

    def pieces(self, progress: Progress | None) -> Iterator[bytes]:
        done = 0
        for piece in self._pieces():
            yield piece
            done += len(piece)
            if progress is not None:
                progress(done, self.size)

    @property
    def _name(self) -> str:
        return "source" if isinstance(self._source, bytes) else os.fspath(self._source)

    def _pieces(self) -> Iterator[bytes]:
        try:
            with self._opened() as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece
        except OSError as problem:
            raise InvalidArgument(
                f"{self._name}: it cannot be read ({problem.strerror}): name a readable file", reason="FILE_UNREADABLE"
            ) from problem

    def _opened(self) -> BinaryIO:
        return BytesIO(self._source) if isinstance(self._source, bytes) else Path(self._source).open("rb")


@dataclass(frozen=True, slots=True)
class Piece:
    """One message of a download: `sha256` and `size` of the whole are in the first one only."""

    sha256: str
    size: int
    data: bytes


class _CheckedSink(ABC, Generic[R]):
    """Collects pieces and checks at the end that they are what the platform announced.

    Args:
        piece: reads a download's message.
        progress: told after each piece.
    """

    def __init__(self, piece: Callable[[Any], Piece], progress: Progress | None) -> None:
        self._piece = piece
        self._progress = progress
        self._digest = hashlib.sha256()
        self._announced: Piece | None = None
        self._done = 0

    def take(self, answer: Any) -> None:
        piece = self._piece(answer)
        if self._announced is None:
            self._announced = piece
        if piece.data:
            self.write(piece.data)
            self._digest.update(piece.data)
            self._done += len(piece.data)
            if self._progress is not None:
                self._progress(self._done, self._announced.size)

    def finish(self) -> R:
        announced = self._announced or Piece("", -1, b"")
        if self._done != announced.size or self._digest.hexdigest() != announced.sha256:
            raise DataLoss(
                f"the download has {self._done} bytes and is not what was announced ({announced.size} bytes): try again",
                reason="DOWNLOAD_CORRUPT",
                metadata={"sha256": announced.sha256},
            )
        return self.complete()

    @abstractmethod
    def write(self, data: bytes) -> None: ...

    @abstractmethod
    def complete(self) -> R: ...

    @abstractmethod
    def abandon(self) -> None: ...


class MemorySink(_CheckedSink[bytes]):
    """A download that is wanted as bytes."""

    def __init__(self, piece: Callable[[Any], Piece], progress: Progress | None = None) -> None:
        super().__init__(piece, progress)
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._pieces.append(data)

    def complete(self) -> bytes:
        return b"".join(self._pieces)

    def abandon(self) -> None:
        self._pieces.clear()


class FileSink(_CheckedSink[Path]):
    """A download that is wanted as a file: written beside it and moved into its place once it is whole and checked.

    Args:
        path: of the file; an existing one is replaced only by a complete download.
    """

    def __init__(self, path: Path, piece: Callable[[Any], Piece], progress: Progress | None = None) -> None:
        super().__init__(piece, progress)
        self._path = path
        self._partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        with self._writing():
            self._file = self._partial.open("xb")

    def write(self, data: bytes) -> None:
        with self._writing():
            self._file.write(data)

    def complete(self) -> Path:
        with self._writing():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self._path)
        return self._path

    def abandon(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._partial.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as problem:
            raise InvalidArgument(
                f"{self._path}: it cannot be written ({problem.strerror}): name a file in a writable folder that has room",
                reason="FILE_UNWRITABLE",
            ) from problem
