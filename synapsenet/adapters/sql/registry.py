"""The registry on SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    delete,
    false,
    insert,
    or_,
    select,
    text,
    update,
)

from synapsenet.adapters.sql.participation import ParticipationTables, SqlStepNotes
from synapsenet.adapters.sql.tables import UtcDateTime, add_platform_tables
from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork
from synapsenet.platform.records import decode, encode
from synapsenet.registry.model import Alias, Condition, Format, RegisteredModel, Source, State, Version, VersionArtifact
from synapsenet.registry.ports import Aliases, RegisteredModels, RegistryWork, Versions
from synapsenet.registry.signature import Signature

T = TypeVar("T")

metadata = MetaData()
add_platform_tables(metadata)
participation = ParticipationTables(metadata)

models = Table(
    "models",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("versions", Integer, nullable=False),
    Column("closed", Boolean, nullable=False),
    Index("ix_models_name", "name"),
)

versions = Table(
    "versions",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("model_name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("condition", Text),
    Column("description", String, nullable=False),
    Column("source", Text, nullable=False),
    Column("signature", Text),
    Column("metrics", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("artifact_format", String),
    Column("artifact_sha256", String),
    Column("artifact_size", BigInteger),
    Column("artifact_uploaded_at", UtcDateTime),
    Column("artifact_offered", Boolean, nullable=False, server_default=false()),
    Column("sealed", Boolean, nullable=False, server_default=false()),
    Column("lifecycle_sequence", BigInteger, nullable=False, server_default=text("0")),
    Column("revision", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_versions_model"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["model_id", "number"], ["versions.model_id", "versions.number"], name="fk_aliases_version"),
    Index("ix_aliases_version", "model_id", "number"),
)


class SqlRegisteredModels(RegisteredModels):
    """The table `models`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, reference: str) -> RegisteredModel | None:
        named = (models.c.name == reference) & models.c.closed.is_(False)
        row = self._connection.execute(select(models).where(or_(models.c.id == reference, named))).one_or_none()
        if row is None:
            return None
        return RegisteredModel(id=row.id, name=row.name, versions=row.versions, closed=row.closed)

    def put(self, model: RegisteredModel) -> None:
        row = {"name": model.name, "versions": model.versions, "closed": model.closed}
        if not self._connection.execute(update(models).where(models.c.id == model.id).values(row)).rowcount:
            self._connection.execute(insert(models), {"id": model.id, **row})


class SqlVersions(Versions):
    """The table `versions`, with the names that point to each row."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, version: Version) -> None:
        self._connection.execute(insert(versions), _to_row(version))

    def find(self, model_id: str, number: int) -> Version | None:
        query = select(versions).where(versions.c.model_id == model_id, versions.c.number == number)
        return next(iter(self._read(query)), None)

    def replace(self, version: Version) -> None:
        place = (versions.c.model_id == version.model_id) & (versions.c.number == version.number)
        self._connection.execute(update(versions).where(place).values(_to_row(version)))

    def page(self, model_id: str, states: frozenset[State], *, below: int | None, limit: int) -> Sequence[Version]:
        query = select(versions).where(versions.c.model_id == model_id).order_by(versions.c.number.desc()).limit(limit)
        if below is not None:
            query = query.where(versions.c.number < below)
        if states:
            query = query.where(versions.c.state.in_(sorted(states)))
        return self._read(query)

    def untold(self, states: frozenset[State], *, limit: int) -> Sequence[Version]:
        order = versions.c.model_id, versions.c.number
        query = select(versions).where(versions.c.lifecycle_sequence == 0).order_by(*order).limit(limit)
        if states:
            query = query.where(versions.c.state.in_(sorted(states)))
        return self._read(query)

    def _read(self, query: Any) -> list[Version]:
        rows = self._connection.execute(query).all()
        names: dict[int, list[str]] = defaultdict(list)
        if rows:
            pointing = aliases.c.number.in_([row.number for row in rows]) & (aliases.c.model_id == rows[0].model_id)
            named = select(aliases.c.number, aliases.c.name).where(pointing).order_by(aliases.c.name)
            for number, name in self._connection.execute(named):
                names[number].append(name)
        return [_from_row(row, tuple(names[row.number])) for row in rows]


class SqlAliases(Aliases):
    """The table `aliases`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, model_id: str, name: str) -> Alias | None:
        row = self._connection.execute(select(aliases).where(_place(model_id, name))).one_or_none()
        return None if row is None else _alias(row)

    def put(self, alias: Alias) -> None:
        row = {"number": alias.number, "updated_at": alias.updated_at}
        if not self._connection.execute(update(aliases).where(_place(alias.model_id, alias.name)).values(row)).rowcount:
            self._connection.execute(insert(aliases), {"model_id": alias.model_id, "name": alias.name, **row})

    def remove(self, model_id: str, name: str) -> None:
        self._connection.execute(delete(aliases).where(_place(model_id, name)))

    def page(self, model_id: str, *, after: str, limit: int) -> Sequence[Alias]:
        shown = (aliases.c.model_id == model_id) & (aliases.c.name > after)
        query = select(aliases).where(shown).order_by(aliases.c.name).limit(limit)
        return [_alias(row) for row in self._connection.execute(query)]


class SqlRegistryWork(SqlUnitOfWork, RegistryWork):
    """One transaction over the registry's database."""

    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        self.models = SqlRegisteredModels(connection)
        self.versions = SqlVersions(connection)
        self.aliases = SqlAliases(connection)
        self.step_notes = SqlStepNotes(connection, participation)


def _place(model_id: str, name: str) -> Any:
    return (aliases.c.model_id == model_id) & (aliases.c.name == name)


def _alias(row: Row[Any]) -> Alias:
    return Alias(model_id=row.model_id, name=row.name, number=row.number, updated_at=row.updated_at)


def _to_row(version: Version) -> dict[str, Any]:
    artifact = version.artifact
    return {
        "model_id": version.model_id,
        "number": version.number,
        "model_name": version.model_name,
        "state": version.state.value,
        "condition": _to_text(version.condition),
        "description": version.description,
        "source": _to_text(version.source),
        "signature": _to_text(version.signature),
        "metrics": _to_text(version.metrics),
        "labels": _to_text(version.labels),
        "artifact_format": None if artifact is None else artifact.format.value,
        "artifact_sha256": None if artifact is None else artifact.sha256,
        "artifact_size": None if artifact is None else artifact.size,
        "artifact_uploaded_at": None if artifact is None else artifact.uploaded_at,
        "artifact_offered": version.offered,
        "sealed": version.sealed,
        "lifecycle_sequence": version.sequence,
        "revision": version.revision,
        "created_at": version.created_at,
        "updated_at": version.updated_at,
    }


def _from_row(row: Row[Any], names: tuple[str, ...]) -> Version:
    return Version(
        model_id=row.model_id,
        model_name=row.model_name,
        number=row.number,
        state=State(row.state),
        condition=_from_text(Condition, row.condition),
        description=row.description,
        source=_from_text(Source, row.source) or Source(),
        signature=_from_text(Signature, row.signature),
        metrics=_from_text(dict[str, float], row.metrics) or {},
        labels=_from_text(dict[str, str], row.labels) or {},
        artifact=None
        if row.artifact_sha256 is None
        else VersionArtifact(
            format=Format(row.artifact_format),
            sha256=row.artifact_sha256,
            size=row.artifact_size,
            uploaded_at=row.artifact_uploaded_at,
        ),
        offered=row.artifact_offered,
        sealed=row.sealed,
        sequence=row.lifecycle_sequence,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
        aliases=names,
    )


def _to_text(record: Any) -> str | None:
    return None if record is None else encode(record).decode()


def _from_text(kind: type[T], text: str | None) -> T | None:
    return None if text is None else decode(kind, text.encode())
