"""A database of before the migrations, with what it held, becomes today's: nothing in it is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    create_engine,
    insert,
    select,
    text,
)

from synapsenet.adapters.sql import inference, models, registry, training
from synapsenet.adapters.sql.migrate import migrate
from tests.golden.files import PRE_MIGRATION, SCHEMAS
from tests.golden.schemas import AREAS

TODAY = {
    "models": models.metadata,
    "registry": registry.metadata,
    "inference": inference.metadata,
    "training": training.metadata,
}
EVENTS = 5

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def sample(column: Column[Any], number: int) -> Any:
    """A value for `column`, another one for each row."""
    if column.foreign_keys:
        [key] = column.foreign_keys
        return sample(key.column, number)
    for kind, value in (
        (JSON, {"row": str(number)}),
        (Boolean, number % 2 == 0),
        (LargeBinary, b"row %d" % number),
        (DateTime, datetime(2026, 1, number, 12, 0, 0, 250)),  # noqa: DTZ001 - SQLite keeps naive ones
        (Float, number / 2),
        (Integer, number),
    ):
        if isinstance(column.type, kind):
            return value
    return f"{column.name} {number}"


def fill(connection: Connection, recorded: MetaData) -> None:
    """A few rows in every table that an area's life fills."""
    for table in recorded.sorted_tables:
        if table.name in ("alembic_version", "log_bounds"):
            continue
        rows = [{column.name: sample(column, number) for column in table.columns} for number in range(1, EVENTS + 1)]
        connection.execute(insert(table), rows)


def content(connection: Connection, recorded: MetaData) -> Rows:
    """All rows, by the columns that were there on that day."""
    return {
        table.name: [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.columns))]
        for table in recorded.sorted_tables
        if table.name != "alembic_version"
    }


@pytest.mark.parametrize("area", AREAS)
def test_a_recorded_database_becomes_todays_and_keeps_its_rows(area: str, tmp_path: Path) -> None:
    statements = (PRE_MIGRATION / SCHEMAS / f"{area}.sql").read_text("utf-8").removeprefix("-- revision 0001\n")
    recorded = MetaData()
    engine = create_engine(f"sqlite:///{tmp_path / 'before.sqlite'}")
    with engine.begin() as connection:
        for statement in statements.splitlines():
            connection.execute(text(statement))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))
        connection.execute(text("INSERT INTO log_bounds VALUES (0, 0)"))
        recorded.reflect(connection)
        fill(connection, recorded)
        before = content(connection, recorded)
    with engine.begin() as connection:
        migrate(connection, area)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), TODAY[area]) == []
        assert content(connection, recorded) == before
        assert all(len(rows) == EVENTS for name, rows in before.items() if name != "log_bounds")
        assert connection.execute(text("SELECT newest, fence FROM log_bounds")).one() == (EVENTS, 0)
    engine.dispose()
