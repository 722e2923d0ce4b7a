"""Backups of areas, on whichever profile they are kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synapsenet.adapters.ownership import own
from synapsenet.adapters.sql.archive import Manifest
from synapsenet.adapters.sql.backup import area_of, restore_sqlite, sqlite_snapshot, take
from synapsenet.adapters.sql.migrate import MIGRATIONS
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, InvalidArgument

COORDINATION = "coordination"
AREAS = tuple(sorted(path.parent.name for path in MIGRATIONS.glob("*/0001_*.py")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where areas' records are: in a data folder or, if `postgres` is given, in a PostgreSQL database."""

    data: Path
    postgres: PostgresOptions | None = None

    def file(self, area: str) -> Path:
        """The area's database below the data folder."""
        return self.data / f"{area}.sqlite" if area == COORDINATION else self.data / area / f"{area}.sqlite"


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


def back_up(area: str, place: Place, file: Path, *, clock: Clock) -> tuple[Manifest, str]:
    """Write the backup of `area`'s records to `file`; what it holds, and the file's SHA-256.

    Raises:
        InvalidArgument: AREA_UNKNOWN.
        FailedPrecondition: AREA_EMPTY, BACKUP_EXISTS, DATA_NOT_WRITABLE.
        ResourceExhausted: STORAGE_FULL.
        Unavailable: DATABASE_UNAVAILABLE.
    """
    if area not in AREAS:
        raise InvalidArgument("AREA_UNKNOWN", f"there are no records of {area!r}", remedy=f"choose of {', '.join(AREAS)}")
    if place.postgres is None:
        with sqlite_snapshot(place.file(area)) as snapshot:
            return take(area, snapshot, file, now=clock.now())
    from synapsenet.adapters.sql.postgres_backup import postgres_snapshot

    with postgres_snapshot(area, place.postgres) as snapshot:
        return take(area, snapshot, file, now=clock.now())


def restore(files: Sequence[Path], place: Place) -> Sequence[Manifest]:
    """Make the records of the areas whose backups are in `files`, where there are none yet.

    Raises:
        FailedPrecondition: RESTORE_NOT_EMPTY, DATA_IN_USE, SCHEMA_NEWER.
        NotFound: BACKUP_MISSING.
        DataLoss: BACKUP_CORRUPT.
        Unavailable: DATABASE_UNAVAILABLE.
    """
    if place.postgres is not None:
        from synapsenet.adapters.sql.postgres_backup import restore_postgres

        return [restore_postgres(file, place.postgres) for file in files]
    descriptor = own(place.data / "synapsenet", named=place.data)
    try:
        return [restore_sqlite(file, place.file(area_of(file))) for file in files]
    finally:
        os.close(descriptor)
