"""An area's database as a file that any database of ours can be made from: its rows, one JSON list a line, a table a member.

All rows are read in one snapshot, so records, outbox, request ids and counters belong together, and the manifest's newest
position is that of these records. Files that an area keeps beside its records are members of their own. Loading makes the
schema of the archive's revision, puts the rows in and migrates them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from alembic.migration import MigrationContext
from sqlalchemy import Connection, DateTime, LargeBinary, MetaData, Table, delete, func, insert, select, text, update

from synapsenet.adapters.sql.migrate import MIGRATIONS, migrate
from synapsenet.errors import DataLoss, FailedPrecondition

_FORMAT = 2
_FORMATS = (1, _FORMAT)  # the first had no files
_MANIFEST = "manifest.json"
_REVISIONS = "alembic_version"
_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive says of itself.

    Attributes:
        area: whose records they are.
        revision: of the schema that they have.
        newest: position of the newest event among them; 0 if there is none.
        taken_at: RFC 3339.
        rows: how many each table has.
        sha256: of each table's member, in hexadecimal.
        files: the same of each member that is a file from beside the records, by its name.
    """

    area: str
    revision: str
    newest: int
    taken_at: str
    rows: Mapping[str, int]
    sha256: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = _FORMAT

    @property
    def summary(self) -> str:
        """In one line, for people."""
        rows, files = sum(self.rows.values()), len(self.files)
        return f"{self.area}  schema {self.revision}  {rows} rows  {files} files  newest event {self.newest}"


def save(connection: Connection, area: str, archive: ZipFile, *, taken_at: datetime) -> Manifest:
    """Write every row that `connection`'s snapshot has of `area` into `archive`, in bounded memory.

    Raises:
        FailedPrecondition: AREA_EMPTY, the area was never started on this database.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        raise FailedPrecondition(
            "AREA_EMPTY", f"{area} has no records there", remedy="check the data folder or the configuration"
        )
    rows, sums = {}, {}
    for table in _tables(connection):
        rows[table.name], sums[table.name] = _save_table(connection, table, archive)
    return Manifest(
        area=area,
        revision=revision,
        newest=_newest(connection),
        taken_at=taken_at.isoformat(),
        rows=rows,
        sha256=sums,
    )


def write_manifest(archive: ZipFile, manifest: Manifest) -> None:
    """Say in `archive`, which has all else, what it holds."""
    archive.writestr(_MANIFEST, json.dumps(asdict(manifest), indent=2) + "\n")


def read_manifest(archive: ZipFile) -> Manifest:
    """What `archive` says of itself.

    Raises:
        DataLoss: BACKUP_CORRUPT.
    """
    try:
        manifest = Manifest(**json.loads(archive.read(_MANIFEST)))
    except (KeyError, TypeError, ValueError) as error:
        raise damaged("its manifest cannot be read", str(error)) from error
    if manifest.format not in _FORMATS:
        raise damaged(f"its format {manifest.format} is not known")
    if not manifest.area.isidentifier():
        raise damaged("it names no area")
    return manifest


def load(connection: Connection, archive: ZipFile, *, revisions: Path = MIGRATIONS) -> Manifest:
    """Make what `archive` holds in `connection`'s empty database, inside its transaction, and bring it to today's schema.

    Leases of before are over: whatever held a fence starts anew.

    Raises:
        DataLoss: BACKUP_CORRUPT.
        FailedPrecondition: RESTORE_NOT_EMPTY; SCHEMA_NEWER, a newer release took the backup.
    """
    manifest = read_manifest(archive)
    if MigrationContext.configure(connection).get_current_revision() is not None:
        raise FailedPrecondition(
            "RESTORE_NOT_EMPTY",
            f"there are records of {manifest.area} already",
            remedy="restore to an empty place, or move those away first",
        )
    migrate(connection, manifest.area, revisions=revisions, to=manifest.revision)
    tables = _tables(connection)
    for table in reversed(tables):
        connection.execute(delete(table))  # what migrations put there is in the archive, too
    for table in tables:
        _load_table(connection, table, archive, manifest)
    _end_leases(connection, tables)
    migrate(connection, manifest.area, revisions=revisions)
    _go_on_numbering(connection)
    return replace(manifest, revision=str(MigrationContext.configure(connection).get_current_revision()))


def _tables(connection: Connection) -> Sequence[Table]:
    """Every table but Alembic's, those that others refer to first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != _REVISIONS]


def _newest(connection: Connection) -> int:
    outbox = next((table for table in _tables(connection) if table.name == "outbox"), None)
    return 0 if outbox is None else int(connection.execute(select(func.max(outbox.c.position))).scalar() or 0)


def _member(table: str) -> str:
    return f"{table}.jsonl"


def _save_table(connection: Connection, table: Table, archive: ZipFile) -> tuple[int, str]:
    count, digest = 0, hashlib.sha256()
    names = [column.name for column in table.columns]
    with archive.open(_member(table.name), "w", force_zip64=True) as member:
        _write(member, digest, json.dumps(names))
        found = connection.execution_options(yield_per=_BATCH).execute(select(table).order_by(*table.primary_key.columns))
        for row in found:
            _write(member, digest, json.dumps([_plain(value) for value in row], ensure_ascii=False))
            count += 1
    return count, digest.hexdigest()


def _write(member: Any, digest: Any, line: str) -> None:
    data = line.encode() + b"\n"
    digest.update(data)
    member.write(data)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, datetime):
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    return value


def _load_table(connection: Connection, table: Table, archive: ZipFile, manifest: Manifest) -> None:
    digest = hashlib.sha256()
    lines = _lines(archive, table.name, digest)
    names = next(lines, [])
    if sorted(names) != sorted(column.name for column in table.columns):
        raise damaged(f"its table {table.name} has other columns")
    naive = connection.dialect.name == "sqlite"
    batch, count = [], 0
    for values in lines:
        batch.append({name: _stored(table, name, value, naive) for name, value in zip(names, values, strict=True)})
        count += 1
        if len(batch) == _BATCH:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)
    if digest.hexdigest() != manifest.sha256.get(table.name) or count != manifest.rows.get(table.name):
        raise damaged(f"its table {table.name} is not what was saved")


def _lines(archive: ZipFile, table: str, digest: Any) -> Iterator[list[Any]]:
    try:
        with archive.open(_member(table)) as member:
            for line in member:
                digest.update(line)
                yield json.loads(line)
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise damaged(f"its table {table} cannot be read", str(error)) from error


def _stored(table: Table, name: str, value: Any, naive: bool) -> Any:
    kind = table.columns[name].type
    if value is None:
        return None
    if isinstance(kind, LargeBinary):
        return base64.b64decode(value)
    if isinstance(kind, DateTime):
        instant = datetime.fromisoformat(value)
        return instant.replace(tzinfo=None) if naive else instant
    return value


def _end_leases(connection: Connection, tables: Sequence[Table]) -> None:
    for table in tables:
        if table.name in ("log_bounds", "relay_progress") and "fence" in table.columns:
            connection.execute(update(table).values(fence=0))


def _go_on_numbering(connection: Connection) -> None:
    """Numbers and positions go on after the highest there is, whichever database they came from."""
    outbox = next((table for table in _tables(connection) if table.name == "outbox"), None)
    if connection.dialect.name == "sqlite":
        if outbox is not None:
            _give_positions(connection, outbox)
        return
    query = text(
        "SELECT s.relname, t.relname, a.attname FROM pg_class s"
        " JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i')"
        " JOIN pg_class t ON t.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid"
        " WHERE s.relkind = 'S' AND s.relnamespace = current_schema()::regnamespace"
    )
    tables = {table.name: table for table in _tables(connection)}
    for sequence, table, column in connection.execute(query).all():
        highest = connection.execute(select(func.max(tables[table].columns[column]))).scalar() or 0
        connection.execute(select(func.setval(f'"{sequence}"', int(highest) + 1, False)))
    if outbox is not None:
        connection.execute(
            text("UPDATE log_bounds SET newest = greatest(newest, (SELECT coalesce(max(position), 0) FROM outbox))")
        )


def _give_positions(connection: Connection, outbox: Table) -> None:
    """What had none yet where it was saved gets them here, where no sequencer comes."""
    newest = int(connection.execute(select(func.max(outbox.c.position))).scalar() or 0)
    waiting = select(outbox.c.number).where(outbox.c.position.is_(None)).order_by(outbox.c.number)
    for position, number in enumerate(connection.execute(waiting).scalars().all(), start=newest + 1):
        connection.execute(update(outbox).where(outbox.c.number == number).values(position=position))


def damaged(what: str, secret: str = "") -> DataLoss:
    """The error that refuses a backup which is not what was saved."""
    return DataLoss("BACKUP_CORRUPT", f"the backup is damaged: {what}", remedy="take another backup", secret=secret)
