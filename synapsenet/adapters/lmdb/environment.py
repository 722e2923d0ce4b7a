"""An LMDB environment whose map grows: readers pass a gate that closes while the map is moved."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from synapsenet.errors import DataLoss, FailedPrecondition, Internal, ResourceExhausted, SynapseError

DATABASES = 8
_READERS = 126
DATA = "data.mdb"
_ROOM = 16 << 20  # bytes that a disk which is not full has


class Environment:
    """One LMDB environment with named databases.

    LMDB may move its map only while this process has no transaction. Writers are one thread, which is the one that grows the
    map; readers go through `reading`, which they may leave within milliseconds only.

    Raises:
        DataLoss: ONLINE_STORE_CORRUPT, the files are no LMDB environment.
        FailedPrecondition: DATA_NOT_WRITABLE.
    """

    def __init__(self, path: Path, *, map_bytes: int, map_limit_bytes: int) -> None:
        self.path = path
        self._limit = map_limit_bytes
        self._gate = threading.Condition()
        self._reading = 0
        self._growing = False
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lmdb = lmdb.open(
                str(path), map_size=min(map_bytes, map_limit_bytes), max_dbs=DATABASES, max_readers=_READERS, readahead=False
            )
            self._lmdb.reader_check()  # slots of readers that were killed would keep old pages for ever
        except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError) as error:
            raise DataLoss(
                "ONLINE_STORE_CORRUPT",
                f"the online feature store in {path.parent.name}/{path.name} is damaged or no LMDB environment",
                remedy="restore it from a backup, or move it away to start empty",
                secret=str(error),
            ) from error
        except (OSError, lmdb.Error) as error:
            raise FailedPrecondition(
                "DATA_NOT_WRITABLE",
                f"the online feature store in {path} cannot be opened ({error})",
                remedy="check the folder's permissions and free space, or give another with --data-dir",
            ) from error

    def database(self, name: str) -> Any:
        """The named database's handle, made if missing. Before any other thread uses the environment."""
        return self._lmdb.open_db(name.encode("ascii"))

    def close(self) -> None:
        self._lmdb.close()

    @contextmanager
    def reading(self) -> Iterator[lmdb.Transaction]:
        """A snapshot."""
        with self._gate:
            if self._growing:
                self._gate.wait_for(lambda: not self._growing)
            self._reading += 1
        try:
            with self._lmdb.begin() as transaction:
                yield transaction
        finally:
            with self._gate:
                self._reading -= 1
                if not self._reading:
                    self._gate.notify_all()

    @contextmanager
    def writing(self) -> Iterator[lmdb.Transaction]:
        """A transaction, on disk when the block ends, undone if it raises. On the writer's thread only."""
        with self._lmdb.begin(write=True) as transaction:
            yield transaction

    def grow(self) -> bool:
        """Make room in the map; false if it has its limit already. On the writer's thread only, outside `writing`."""
        if self._lmdb.reader_check():
            return True  # a backup that was killed kept old pages; they are free now
        size = self._lmdb.info()["map_size"]
        if size >= self._limit:
            return False
        with self._gate:
            self._growing = True
            self._gate.wait_for(lambda: not self._reading)
            try:
                self._lmdb.set_mapsize(min(2 * size, self._limit))
            finally:
                self._growing = False
                self._gate.notify_all()
        return True

    def explained(self, error: lmdb.Error) -> SynapseError:
        """The platform's error for one of LMDB's. On the writer's thread only, outside `writing`."""
        if isinstance(error, (lmdb.MapFullError, lmdb.DiskError)) or self._cannot_grow():
            return ResourceExhausted(
                "STORAGE_FULL",
                "the online feature store is full",
                remedy="free disk space or raise features.online.map_limit_bytes, then retry; nothing already stored is lost",
                secret=str(error),
            )
        if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.PanicError)):
            return DataLoss(
                "ONLINE_STORE_CORRUPT", "the online feature store is damaged", remedy="restore it", secret=str(error)
            )
        return Internal("ONLINE_STORE_ERROR", "the online feature store refused an operation", secret=str(error))

    def _cannot_grow(self) -> bool:
        """Whether the disk has no room for the data file: LMDB tells a write that was cut short as EIO, whatever cut it."""
        try:
            with (self.path / DATA).open("r+b") as file:
                size = os.fstat(file.fileno()).st_size
                try:
                    os.posix_fallocate(file.fileno(), size, _ROOM)
                finally:
                    os.ftruncate(file.fileno(), size)
        except OSError as error:  # also if there is no such file any more: the writer must live to tell its callers
            return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        return False
