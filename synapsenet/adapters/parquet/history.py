"""The history as Parquet files: one folder a group, one file a batch, named by its first and last position.

A file appears whole, by a rename after its bytes are on disk, so that readers never see half of one. Files and joins have
a thread each: a long join does not keep the mirror from writing.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from synapsenet.adapters.parquet.join import JoinResult, join_to_file
from synapsenet.adapters.parquet.tables import history_table
from synapsenet.errors import DataLoss, ResourceExhausted
from synapsenet.features.ports import History, HistoryBatch, Joined, JoinQuery

_CHUNK = 1 << 20
_DIGITS = 20
_UNFINISHED = ".tmp"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ParquetHistory(History):
    """See `open_history`."""

    def __init__(self, folder: Path, *, join_memory_mb: int) -> None:
        self._folder = folder
        self._scratch = folder / ".joins"
        self._join_memory_mb = join_memory_mb
        self._joins = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="history-writer")
        self._joiner = ThreadPoolExecutor(1, thread_name_prefix="history-joiner")
        shutil.rmtree(self._scratch, ignore_errors=True)  # of joins that died with their process
        self._scratch.mkdir(parents=True)

    def close(self) -> None:
        self._writer.shutdown()
        self._joiner.shutdown()

    async def append(self, batch: HistoryBatch) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self._append, batch)

    def _append(self, batch: HistoryBatch) -> None:
        folder = self._folder / batch.group_id
        whole = folder / f"{batch.positions[0]:0{_DIGITS}d}-{batch.positions[-1]:0{_DIGITS}d}.parquet"
        unfinished = whole.with_suffix(_UNFINISHED)
        try:
            folder.mkdir(exist_ok=True)
            with unfinished.open("wb") as file:
                pq.write_table(history_table(batch), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(whole)
            _sync(folder)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise _full(error) from error

    async def discard_after(self, position: int) -> None:
        def discard() -> None:
            for path in [*self._folder.glob(f"*/*{_UNFINISHED}"), *self._folder.glob("*/*.parquet")]:
                if path.suffix == _UNFINISHED or int(path.name[:_DIGITS]) > position:
                    path.unlink()

        await asyncio.get_running_loop().run_in_executor(self._writer, discard)

    async def drop(self, group_id: str) -> None:
        await asyncio.get_running_loop().run_in_executor(
            self._writer, lambda: shutil.rmtree(self._folder / group_id, ignore_errors=True)
        )

    @asynccontextmanager
    async def join(self, query: JoinQuery) -> AsyncIterator[Joined]:
        self._joins += 1
        path = self._scratch / f"{self._joins}.arrow"
        loop = asyncio.get_running_loop()
        try:
            work = loop.run_in_executor(self._joiner, self._join, query, path)
            yield JoinedFile(path, await work)
        finally:
            await loop.run_in_executor(self._joiner, lambda: path.unlink(missing_ok=True))

    def _join(self, query: JoinQuery, path: Path) -> JoinResult:
        files = [self._files(group.group_id) for group in query.groups]
        try:
            return join_to_file(query, files, path, memory_mb=self._join_memory_mb, scratch=self._scratch)
        except OSError as error:
            raise _full(error) from error
        except duckdb.Error as error:
            raise _explained(error) from error

    def _files(self, group_id: str) -> list[Path]:
        return sorted((self._folder / group_id).glob("*.parquet"))


class JoinedFile(Joined):
    """An Arrow IPC stream in a file."""

    def __init__(self, path: Path, result: JoinResult) -> None:
        self._path = path
        self.missing = result.missing

    async def chunks(self) -> AsyncIterator[bytes]:
        with await asyncio.to_thread(self._path.open, "rb") as file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk


@asynccontextmanager
async def open_history(folder: Path, *, join_memory_mb: int) -> AsyncIterator[ParquetHistory]:
    """The history in `folder`, made if missing.

    Args:
        join_memory_mb: memory of a join in MiB, beyond which it spills to `folder`.
    """
    history = ParquetHistory(folder, join_memory_mb=join_memory_mb)
    try:
        yield history
    finally:
        await asyncio.to_thread(history.close)


def _full(error: OSError) -> Exception:
    return _storage_full(error) if error.errno in _NO_SPACE else error


def _explained(error: duckdb.Error) -> Exception:
    """The platform's error for one of DuckDB's, which tells the operating system's reason in words alone."""
    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return ResourceExhausted(
            "JOIN_TOO_LARGE",
            "the join needs more memory than it may take",
            remedy="ask for fewer rows or features, or raise features.join_memory_mb",
            secret=text,
        )
    if any(os.strerror(number) in text for number in _NO_SPACE):
        return _storage_full(error)
    if isinstance(error, duckdb.InvalidInputException | duckdb.IOException):
        return DataLoss(
            "HISTORY_UNREADABLE",
            "a file of the features' history is damaged or gone",
            remedy="restore the data folder from a backup",
            secret=text,
        )
    return error


def _storage_full(error: Exception) -> ResourceExhausted:
    return ResourceExhausted(
        "STORAGE_FULL",
        "the disk that holds the features' history is full",
        remedy="free space and retry; nothing already stored is lost",
        secret=str(error),
    )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
