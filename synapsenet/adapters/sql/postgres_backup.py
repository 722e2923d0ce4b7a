"""Backups of an area's schema on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, text

from synapsenet.adapters.sql.archive import Manifest, load
from synapsenet.adapters.sql.backup import Snapshot, manifest_of, opened_backup
from synapsenet.adapters.sql.migrate import MIGRATIONS
from synapsenet.adapters.sql.postgres import PostgresDatabase
from synapsenet.adapters.sql.postgres_options import PostgresOptions

T = TypeVar("T")

_LONGEST_S = 24 * 3_600.0


@contextmanager
def postgres_snapshot(area: str, options: PostgresOptions) -> Iterator[Snapshot]:
    """Snapshots of `area`'s schema, beside whoever writes."""
    database = PostgresDatabase(area, _patient(options))

    def snapshot(query: Callable[[Connection], T]) -> T:
        return database.read_now(query)

    try:
        yield snapshot
    finally:
        database.close()


def schemas(options: PostgresOptions) -> Sequence[str]:
    """The schemas in which migrations were applied.

    Raises:
        Unavailable: DATABASE_UNAVAILABLE.
    """
    database = PostgresDatabase("coordination", options)
    query = text("SELECT schemaname FROM pg_tables WHERE tablename = 'alembic_version'")
    try:
        return database.read_now(lambda connection: list(connection.execute(query).scalars()))
    finally:
        database.close()


def restore_postgres(file: Path, options: PostgresOptions, *, revisions: Path = MIGRATIONS) -> Manifest:
    """Make the schema of the area whose backup is in `file`; nothing is left of an attempt that fails.

    Raises:
        FailedPrecondition: RESTORE_NOT_EMPTY, SCHEMA_NEWER.
        NotFound: BACKUP_MISSING.
        DataLoss: BACKUP_CORRUPT.
        Unavailable: DATABASE_UNAVAILABLE.
    """
    area = manifest_of(file).area
    database = PostgresDatabase(area, _patient(options))

    def commit(connection: Connection) -> Manifest:
        connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{area}"')
        with opened_backup(file) as archive:
            return load(connection, archive, revisions=revisions)

    try:
        return database.prepare(commit)
    finally:
        database.close()


def _patient(options: PostgresOptions) -> PostgresOptions:
    """A backup takes as long as it takes."""
    return replace(options, readers=1, statement_s=_LONGEST_S, transaction_s=_LONGEST_S)
