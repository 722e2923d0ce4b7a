"""What an area that takes part in sagas keeps of steps, in two tables of its own database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Insert,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    delete,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from synapsenet.adapters.sql.tables import UtcDateTime
from synapsenet.platform.participation import Json, StepKey, StepNote, StepNotes
from synapsenet.platform.records import decode, encode


class ParticipationTables:
    """The tables, added to an area's schema, and the statements on them, built once."""

    def __init__(self, metadata: MetaData) -> None:
        self.steps = steps = Table(
            "participation_steps",
            metadata,
            Column("operation_id", String, primary_key=True),
            Column("step", String, primary_key=True),
            Column("direction", String, primary_key=True),
            Column("result", LargeBinary),
            Column("noted_at", UtcDateTime, nullable=False),
            Index("ix_participation_steps_noted_at", "noted_at"),
        )
        self.fences = fences = Table(
            "participation_fences",
            metadata,
            Column("model_id", String, primary_key=True),
            Column("fence", BigInteger, nullable=False),
        )
        self.find_fence = select(fences.c.fence).where(fences.c.model_id == bindparam("model_id"))
        place = and_(*(column == bindparam(f"of_{column.name}") for column in steps.primary_key))
        self.find_step = select(steps.c.result).where(place)
        self._written = {dialect: _Written(self, insert) for dialect, insert in _INSERTS.items()}

    def written(self, dialect: str) -> _Written:
        return self._written[dialect]


class _Written:
    """The upserts as one kind of database spells them; how many rows they wrote says whether they held."""

    def __init__(self, tables: ParticipationTables, insert: Any) -> None:
        fences, steps = tables.fences, tables.steps
        claim = insert(fences)
        self.claim = _counted(
            claim.on_conflict_do_update(
                index_elements=[fences.c.model_id],
                set_={"fence": claim.excluded.fence},
                where=fences.c.fence <= claim.excluded.fence,
            )
        )
        key = list(steps.primary_key)
        self.begin = _counted(insert(steps).on_conflict_do_nothing(index_elements=key))
        end = insert(steps)
        self.end = _counted(
            end.on_conflict_do_update(
                index_elements=key,
                set_={"result": end.excluded.result, "noted_at": end.excluded.noted_at},
                where=steps.c.result.is_(None),
            )
        )


_INSERTS: Mapping[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def _counted(statement: Insert) -> Insert:
    return statement.execution_options(preserve_rowcount=True)


class SqlStepNotes(StepNotes):
    """The notes inside one transaction."""

    def __init__(self, connection: Connection, tables: ParticipationTables) -> None:
        self._connection = connection
        self._tables = tables
        self._written = tables.written(connection.dialect.name)

    def claim(self, model_id: str, fence: int) -> bool:
        return self._connection.execute(self._written.claim, {"model_id": model_id, "fence": fence}).rowcount == 1

    def fence(self, model_id: str) -> int:
        return int(self._connection.execute(self._tables.find_fence, {"model_id": model_id}).scalar() or 0)

    def find(self, key: StepKey) -> StepNote | None:
        place = {f"of_{name}": value for name, value in _place(key).items()}
        row = self._connection.execute(self._tables.find_step, place).one_or_none()
        if row is None:
            return None
        return StepNote(result=None if row.result is None else decode(dict[str, Any], bytes(row.result)))

    def begin(self, key: StepKey, at: datetime) -> bool:
        row = {**_place(key), "result": None, "noted_at": at}
        return self._connection.execute(self._written.begin, row).rowcount == 1

    def end(self, key: StepKey, result: Json, at: datetime) -> bool:
        row = {**_place(key), "result": encode(result), "noted_at": at}
        return self._connection.execute(self._written.end, row).rowcount == 1

    def forget(self, *, before: datetime, limit: int) -> int:
        steps = self._tables.steps
        key = list(steps.primary_key)
        oldest = select(*key).where(steps.c.noted_at < before).order_by(steps.c.noted_at).limit(limit)
        return self._connection.execute(delete(steps).where(tuple_(*key).in_(oldest))).rowcount


def _place(key: StepKey) -> dict[str, str]:
    return {"operation_id": key.operation_id, "step": key.step, "direction": key.direction.value}
