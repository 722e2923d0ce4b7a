"""Backups of areas with the files beside their records, on whichever profile they are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from synapsenet.adapters.ownership import own
from synapsenet.adapters.sql.archive import Manifest
from synapsenet.adapters.sql.backup import Snapshot, manifest_of, restore_sqlite, sqlite_snapshot, take
from synapsenet.adapters.sql.migrate import MIGRATIONS
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.clock import Clock
from synapsenet.errors import Aborted, FailedPrecondition, InvalidArgument
from synapsenet_servers.bootstrap.area_files import AreaFiles, FilesPlace, put_back

COORDINATION = "coordination"
AREAS = tuple(sorted(path.parent.name for path in MIGRATIONS.glob("*/0001_*.py")))


_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where areas are: their records in a data folder or, if `postgres` is given, in a PostgreSQL database.

    Attributes:
        data: of `synapsenet dev` or, in a cluster, of the process that serves the area.
        artifacts: folder or URL of the store; empty: in `data`.
    """

    data: Path
    postgres: PostgresOptions | None = None
    artifacts: str = ""

    def file(self, area: str) -> Path:
        """The area's database below the data folder."""
        return self.data / f"{area}.sqlite" if area == COORDINATION else self.data / area / f"{area}.sqlite"

    def files(self) -> FilesPlace:
        """Where areas' files are."""
        return FilesPlace(features=self.data / "features", artifacts=self.artifacts or str(self.data / "artifacts"))


def started(place: Place) -> Sequence[str]:
    """The areas that have records in `place`.

    Raises:
        Unavailable: DATABASE_UNAVAILABLE.
        FailedPrecondition: AREA_EMPTY, none has.
    """
    if place.postgres is None:
        found = [area for area in AREAS if place.file(area).exists()]
    else:
        from synapsenet.adapters.sql.postgres_backup import schemas

        there = schemas(place.postgres)
        found = [area for area in AREAS if area in there]
    if not found:
        raise FailedPrecondition("AREA_EMPTY", "there are no records there", remedy="check --data-dir or --config")
    return found


def back_up(area: str, place: Place, file: Path, *, clock: Clock, records_only: bool = False) -> tuple[Manifest, str]:
    """Write the backup of `area` to `file`; what it holds, and the file's SHA-256.

    Args:
        records_only: leave out the files that the area keeps beside its records.

    Raises:
        InvalidArgument: AREA_UNKNOWN.
        FailedPrecondition: AREA_EMPTY, BACKUP_EXISTS, DATA_NOT_WRITABLE, ONLINE_STORE_UNREADABLE.
        ResourceExhausted: STORAGE_FULL.
        Aborted: BACKUP_OVERTAKEN.
        DataLoss: ARTIFACT_LOST, ARTIFACT_CORRUPT.
        Unavailable: DATABASE_UNAVAILABLE, ARTIFACTS_UNAVAILABLE.
    """
    if area not in AREAS:
        raise InvalidArgument("AREA_UNKNOWN", f"there are no records of {area!r}", remedy=f"choose of {', '.join(AREAS)}")
    with _snapshots(area, place) as snapshot:
        for attempt in range(1, _ATTEMPTS + 1):
            beside = None if records_only else AreaFiles(area, place.files(), clock=clock)
            try:
                return take(area, snapshot, file, now=clock.now(), beside=beside)
            except Aborted:
                if attempt == _ATTEMPTS:
                    raise
    raise AssertionError("the last attempt raises")


def _snapshots(area: str, place: Place) -> AbstractContextManager[Snapshot]:
    if place.postgres is None:
        return sqlite_snapshot(place.file(area))
    from synapsenet.adapters.sql.postgres_backup import postgres_snapshot

    return postgres_snapshot(area, place.postgres)


def restore(files: Sequence[Path], place: Place, *, clock: Clock) -> Sequence[Manifest]:
    """Make the areas whose backups are in `files`, where there is nothing of them yet.

    Raises:
        FailedPrecondition: RESTORE_NOT_EMPTY, DATA_IN_USE, SCHEMA_NEWER.
        NotFound: BACKUP_MISSING.
        DataLoss: BACKUP_CORRUPT.
        ResourceExhausted: STORAGE_FULL.
        Unavailable: DATABASE_UNAVAILABLE, ARTIFACTS_UNAVAILABLE.
    """
    has_files = any(manifest_of(file).files for file in files)
    with _owned(place.data) if place.postgres is None or has_files else nullcontext():
        return [_restore(file, place, clock) for file in files]


def _restore(file: Path, place: Place, clock: Clock) -> Manifest:
    """The files before the records: what a crash leaves is never records without their files."""
    with put_back(file, place.files(), clock=clock):
        if place.postgres is None:
            return restore_sqlite(file, place.file(manifest_of(file).area))
        from synapsenet.adapters.sql.postgres_backup import restore_postgres

        return restore_postgres(file, place.postgres)


@contextmanager
def _owned(data: Path) -> Iterator[None]:
    descriptor = own(data / "synapsenet", named=data)
    try:
        yield
    finally:
        os.close(descriptor)
