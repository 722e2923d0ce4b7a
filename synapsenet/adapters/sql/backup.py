"""Backups of areas' databases: taken while the platform runs, restored to an empty place."""

from __future__ import annotations

import errno
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from synapsenet.adapters.sql.archive import Manifest, load, read_manifest, save, write_manifest
from synapsenet.adapters.sql.failures import translated
from synapsenet.adapters.sql.migrate import MIGRATIONS
from synapsenet.adapters.sql.sqlite import SqliteDatabase
from synapsenet.errors import DataLoss, FailedPrecondition, NotFound, ResourceExhausted

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

T = TypeVar("T")


class Snapshot(Protocol):
    """Runs a function of a connection on one snapshot of an area's database."""

    def __call__(self, query: Callable[[Connection], T]) -> T: ...


class Beside(ABC):
    """What an area keeps in files, and a backup of it has, too.

    Files are there before the records that promise them, and stay. So those that are taken after the records have all that
    the records promise; what they have more is harmless. What is deleted meanwhile would be the exception, hence `check`.
    """

    @abstractmethod
    def look(self, connection: Connection) -> None:
        """Note what the records of the snapshot promise."""

    @abstractmethod
    def save(self, archive: ZipFile) -> Mapping[str, str]:
        """Add the files as members; the SHA-256 of each, in hexadecimal."""

    @abstractmethod
    def check(self, connection: Connection) -> None:
        """See on a later snapshot that nothing was deleted which `look` had noted.

        Raises:
            Aborted: BACKUP_OVERTAKEN.
        """


def take(area: str, snapshot: Snapshot, file: Path, *, now: datetime, beside: Beside | None = None) -> tuple[Manifest, str]:
    """Write the backup of `area` to `file`, whole or not at all; what it holds, and the file's SHA-256.

    Raises:
        FailedPrecondition: AREA_EMPTY, BACKUP_EXISTS, DATA_NOT_WRITABLE.
        ResourceExhausted: STORAGE_FULL.
        Aborted: BACKUP_OVERTAKEN.
    """
    if file.exists():
        raise FailedPrecondition("BACKUP_EXISTS", f"{file} is there already", remedy="name another file")
    partly = file.with_name(f"{file.name}.partly")
    try:
        with writing(partly, remedy="name another file"):
            with ZipFile(partly, "w", ZIP_DEFLATED) as archive:
                manifest = _save(area, snapshot, archive, now, beside)
                write_manifest(archive, manifest)
            with partly.open("rb") as written:
                os.fsync(written.fileno())
                digest = hashlib.file_digest(written, "sha256").hexdigest()
            partly.rename(file)
    finally:
        partly.unlink(missing_ok=True)
    return manifest, digest


def _save(area: str, snapshot: Snapshot, archive: ZipFile, now: datetime, beside: Beside | None) -> Manifest:
    def records(connection: Connection) -> Manifest:
        if beside is not None:
            beside.look(connection)
        return save(connection, area, archive, taken_at=now)

    manifest = snapshot(records)
    if beside is None:
        return manifest
    files = beside.save(archive)
    snapshot(beside.check)
    return replace(manifest, files=files)


@contextmanager
def opened_backup(file: Path) -> Iterator[ZipFile]:
    """The backup in `file`, for reading.

    Raises:
        NotFound: BACKUP_MISSING.
        DataLoss: BACKUP_CORRUPT.
    """
    try:
        with ZipFile(file) as archive:
            yield archive
    except FileNotFoundError as error:
        raise NotFound("BACKUP_MISSING", f"there is no file {file}", remedy="check its name") from error
    except BadZipFile as error:
        raise DataLoss("BACKUP_CORRUPT", f"{file} is no whole backup", remedy="take another backup") from error


def manifest_of(file: Path) -> Manifest:
    """What the backup in `file` says of itself.

    Raises:
        NotFound: BACKUP_MISSING.
        DataLoss: BACKUP_CORRUPT.
    """
    with opened_backup(file) as archive:
        return read_manifest(archive)


@contextmanager
def sqlite_snapshot(path: Path) -> Iterator[Snapshot]:
    """Snapshots of the SQLite file `path`, beside the process that owns it.

    Raises:
        FailedPrecondition: AREA_EMPTY.
    """
    if not path.exists():
        raise FailedPrecondition("AREA_EMPTY", f"there is no {path.name}", remedy="check --data-dir")
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    def snapshot(query: Callable[[Connection], T]) -> T:
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA query_only = ON")
                connection.exec_driver_sql("BEGIN")  # the driver begins none for reading
                return query(connection)
        except DBAPIError as error:
            raise translated(error, path.name) from error

    try:
        yield snapshot
    finally:
        engine.dispose()


def restore_sqlite(file: Path, path: Path, *, revisions: Path = MIGRATIONS) -> Manifest:
    """Make the SQLite file `path` from the backup in `file`; nothing is left of an attempt that fails.

    Raises:
        FailedPrecondition: RESTORE_NOT_EMPTY, DATA_IN_USE, SCHEMA_NEWER.
        NotFound: BACKUP_MISSING.
        DataLoss: BACKUP_CORRUPT.
    """
    if path.exists():
        raise FailedPrecondition(
            "RESTORE_NOT_EMPTY", f"there is a file {path} already", remedy="move it away first, with the platform stopped"
        )
    with opened_backup(file) as archive:
        database = SqliteDatabase(path)
        try:
            manifest = database.write_now(lambda connection: load(connection, archive, revisions=revisions))
        except BaseException:
            database.close()
            for left in path.parent.glob(f"{path.name}*"):
                left.unlink()
            raise
        database.close()
    return manifest


@contextmanager
def writing(file: Path, *, remedy: str) -> Iterator[None]:
    """The operating system's refusals to write `file`, as errors of the platform with that remedy.

    Raises:
        FailedPrecondition: DATA_NOT_WRITABLE.
        ResourceExhausted: STORAGE_FULL.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceExhausted("STORAGE_FULL", f"the disk that holds {file} is full", remedy="free space") from error
        raise FailedPrecondition("DATA_NOT_WRITABLE", f"{file} cannot be written ({error.strerror})", remedy=remedy) from error
