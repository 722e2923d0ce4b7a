"""The models on SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)

from synapsenet.adapters.sql.tables import UtcDateTime, add_platform_tables
from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork
from synapsenet.models.model import Model, ModelQuery, Task, is_id
from synapsenet.models.ports import Models, ModelsWork

metadata = MetaData()
add_platform_tables(metadata)

models = Table(
    "models",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("description", String, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("task", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("name", name="uq_models_name"),
)


class SqlModels(Models):
    """The table `models`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, model: Model) -> None:
        self._connection.execute(insert(models), _to_row(model))

    def find(self, reference: str) -> Model | None:
        column = models.c.id if is_id(reference) else models.c.name
        row = self._connection.execute(select(models).where(column == reference)).one_or_none()
        return None if row is None else _from_row(row)

    def replace(self, model: Model) -> None:
        self._connection.execute(update(models).where(models.c.id == model.id).values(_to_row(model)))

    def remove(self, model_id: str) -> None:
        self._connection.execute(delete(models).where(models.c.id == model_id))

    def page(self, query: ModelQuery, *, after: str, limit: int) -> Sequence[Model]:
        rows = select(models).where(models.c.name > after).order_by(models.c.name).limit(limit)
        if query.prefix:
            # LIKE ignores case on some databases; names do not.
            rows = rows.where(func.substr(models.c.name, 1, len(query.prefix)) == query.prefix)
        if query.task is not None:
            rows = rows.where(models.c.task == query.task.value)
        return [_from_row(row) for row in self._connection.execute(rows)]


class SqlModelsWork(SqlUnitOfWork, ModelsWork):
    """One transaction over the models' database."""

    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        self.models = SqlModels(connection)


def _to_row(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "labels": dict(model.labels),
        "task": model.task.value,
        "revision": model.revision,
        "created_at": model.created_at,
        "updated_at": model.updated_at,
    }


def _from_row(row: Row[Any]) -> Model:
    return Model(
        id=row.id,
        name=row.name,
        description=row.description,
        labels=row.labels,
        task=Task(row.task),
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
