"""Artifacts in a folder or an object store, through fsspec: named by their content, verified whenever they are read.

ROOT/incoming/…             being written; left behind only by a process that died, and swept when a store is opened
ROOT/sha256/ab/abcdef01…    whole, and on a local disk flushed, before the name exists
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from synapsenet.clock import Clock, SystemClock
from synapsenet.errors import DataLoss, FailedPrecondition, NotFound, ResourceExhausted, SynapseError, Unavailable
from synapsenet.platform.artifacts import Artifact, ArtifactStore

T = TypeVar("T")

_log = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9a-f]{64}")
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNUSABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST})
_ABANDONED = timedelta(days=1)


class Lane(Protocol):
    """Runs functions one after the other off the event loop, with their OSErrors in the platform's words."""

    async def __call__(self, function: Callable[..., T], *arguments: Any) -> T: ...


class FsspecArtifacts(ArtifactStore):
    """An artifact store below an fsspec URL; a plain path is a local folder.

    Args:
        abandoned_after: age at which a half-written file is swept: at once where nobody else writes into the store.

    Raises:
        FailedPrecondition: DATA_NOT_WRITABLE, from the constructor or any write.
    """

    def __init__(self, url: str, *, clock: Clock, abandoned_after: timedelta = _ABANDONED) -> None:
        self._fs, root = url_to_fs(url)
        self._local = isinstance(self._fs, LocalFileSystem)
        self._incoming = f"{root}/incoming"
        self._whole = f"{root}/sha256"
        try:
            self._fs.makedirs(self._incoming, exist_ok=True)
            self._fs.makedirs(self._whole, exist_ok=True)
            self._sweep(clock.now() - abandoned_after)
        except OSError as error:
            raise _translated(error) from error

    async def write(self, chunks: AsyncIterator[bytes], *, limit: int) -> Artifact:
        async with _lane() as run:
            path = f"{self._incoming}/{secrets.token_hex(16)}"
            file: Any = None
            try:
                file = await run(self._fs.open, path, "wb")
                digest, size = hashlib.sha256(), 0
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise _too_large(limit)
                    await run(_append, file, digest, chunk)
                artifact = Artifact(digest.hexdigest(), size)
                await run(self._publish, file, path, self._path(artifact.sha256))
            except BaseException:
                # Also when the caller gave up; the lane runs it after whatever it was doing.
                await asyncio.shield(run(self._discard, file, path))
                raise
            return artifact

    async def read(self, sha256: str, *, chunk_size: int = 1 << 20) -> AsyncIterator[bytes]:
        if not _NAME.fullmatch(sha256):
            raise _unknown(sha256)
        async with _lane() as run:
            try:
                file = await run(self._fs.open, self._path(sha256), "rb")
            except FileNotFoundError as error:
                raise _unknown(sha256) from error
            try:
                digest, held = hashlib.sha256(), b""
                while chunk := await run(_take, file, digest, chunk_size):
                    if held:
                        yield held
                    held = chunk
                if digest.hexdigest() != sha256:
                    raise DataLoss(
                        "ARTIFACT_CORRUPT",
                        f"artifact {sha256} is damaged in the store",
                        remedy="upload it again, or restore the artifact folder from a backup",
                        metadata={"sha256": sha256},
                    )
                if held:
                    yield held
            finally:
                await asyncio.shield(run(file.close))

    async def find(self, sha256: str) -> Artifact | None:
        if not _NAME.fullmatch(sha256):
            return None
        async with _lane() as run:
            try:
                described = await run(self._fs.info, self._path(sha256))
            except FileNotFoundError:
                return None
            return Artifact(sha256, int(described["size"]))

    async def delete(self, sha256: str) -> None:
        if not _NAME.fullmatch(sha256):
            return
        async with _lane() as run:
            try:
                await run(self._fs.rm_file, self._path(sha256))
            except FileNotFoundError:
                return

    def _path(self, sha256: str) -> str:
        return f"{self._whole}/{sha256[:2]}/{sha256}"

    def _publish(self, file: Any, path: str, target: str) -> None:
        """Give the whole file its name. One that stands there already gives way to its equal, which heals a damaged one."""
        folder = target.rpartition("/")[0]
        if self._local:
            file.flush()
            os.fsync(file.fileno())
        file.close()
        self._fs.makedirs(folder, exist_ok=True)
        self._fs.mv(path, target)
        if self._local:
            _flush_folder(folder)
            _flush_folder(self._whole)

    def _discard(self, file: Any, path: str) -> None:
        """Forget what was not finished; why it was not is what the caller must hear, so this stays silent."""
        try:
            if file is not None:
                file.close()
        except OSError:
            _log.debug("an abandoned artifact could not be flushed", exc_info=True)
        try:
            if self._fs.exists(path):
                self._fs.rm_file(path)
        except OSError:
            _log.warning("an abandoned artifact stays until the next sweep", exc_info=True)

    def _sweep(self, oldest: datetime) -> None:
        """Remove what processes that died left half written."""
        for path in self._fs.ls(self._incoming, detail=False):
            if _aware(self._fs.modified(path)) < oldest:
                self._fs.rm_file(path)


def open_artifacts(folder: Path, clock: Clock | None = None) -> FsspecArtifacts:
    """The artifact store in a local folder, made if it is missing.

    Raises:
        FailedPrecondition: DATA_NOT_WRITABLE.
        ResourceExhausted: STORAGE_FULL.
    """
    return FsspecArtifacts(str(folder.absolute()), clock=clock or SystemClock())


@asynccontextmanager
async def _lane() -> AsyncIterator[Lane]:
    executor = ThreadPoolExecutor(1, thread_name_prefix="artifacts")
    loop = asyncio.get_running_loop()

    async def run(function: Callable[..., T], *arguments: Any) -> T:
        try:
            return await loop.run_in_executor(executor, lambda: function(*arguments))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _translated(error) from error

    try:
        yield run
    finally:
        executor.shutdown(wait=False)


def _append(file: Any, digest: Any, chunk: bytes) -> None:
    digest.update(chunk)
    file.write(chunk)


def _take(file: Any, digest: Any, size: int) -> bytes:
    chunk: bytes = file.read(size)
    digest.update(chunk)
    return chunk


def _flush_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def _too_large(limit: int) -> ResourceExhausted:
    return ResourceExhausted(
        "ARTIFACT_TOO_LARGE",
        f"the artifact is larger than {limit:,} bytes",
        remedy=f"keep it to {limit:,} bytes",
        metadata={"limit": str(limit)},
    )


def _unknown(sha256: str) -> NotFound:
    return NotFound("ARTIFACT_UNKNOWN", f"there is no artifact {sha256[:64]}", metadata={"sha256": sha256[:64]})


def _translated(error: OSError) -> SynapseError:
    """The platform's error for `error`, with the path kept secret."""
    if error.errno in _NO_SPACE:
        return ResourceExhausted(
            "STORAGE_FULL",
            "the disk that holds the artifacts is full",
            remedy="free space and retry; nothing already stored is lost",
            secret=str(error),
        )
    if error.errno in _UNUSABLE:
        return FailedPrecondition(
            "DATA_NOT_WRITABLE",
            "the artifact folder cannot be used",
            remedy="check that the data folder is a folder, and its permissions",
            secret=str(error),
        )
    return Unavailable("ARTIFACTS_UNAVAILABLE", "the artifact store does not answer", remedy="retry", secret=str(error))
