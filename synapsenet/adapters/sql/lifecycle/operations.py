"""Operations in one table, numbered in the order in which they were accepted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from synapsenet.adapters.sql.lifecycle.tables import operations
from synapsenet.lifecycle.model import Operation, OperationState
from synapsenet.lifecycle.ports import OperationQuery, Operations
from synapsenet.platform.records import decode, encode

_THAT = operations.c.id == bindparam("of_id")
_UNENDED = ~operations.c.has_ended
_CHANGING = ("state", "has_ended", "ended_at", "revision", "record")

_ADD = insert(operations)
_FIND = select(operations.c.record).where(_THAT)
_REPLACE = (
    update(operations)
    .where(_THAT, operations.c.revision == bindparam("expected"))
    .values({name: bindparam(name) for name in _CHANGING})
)
_AT_WORK = (
    select(operations.c.record)
    .where(_UNENDED, operations.c.model_id == bindparam("of_model"), operations.c.state != OperationState.WAITING.value)
    .order_by(operations.c.ordinal)
    .limit(1)
)
_ALL_UNENDED = select(operations.c.record).where(_UNENDED).order_by(operations.c.ordinal)
_OLD = (
    select(operations.c.ordinal)
    .where(operations.c.has_ended, operations.c.ended_at < bindparam("ended_before"))
    .order_by(operations.c.ended_at)
    .limit(bindparam("at_most"))
)
_TRIM = delete(operations).where(operations.c.ordinal.in_(_OLD.scalar_subquery()))


class SqlOperations(Operations):
    """The table `operations`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, operation: Operation) -> None:
        row = {"id": operation.id, "model_id": operation.model_id, "saga": operation.saga}
        self._connection.execute(_ADD, row | _columns(operation))

    def find(self, operation_id: str) -> Operation | None:
        return self._one(_FIND, {"of_id": operation_id})

    def replace(self, operation: Operation, *, revision: int) -> bool:
        place = {"of_id": operation.id, "expected": revision}
        return self._connection.execute(_REPLACE, place | _columns(operation)).rowcount == 1

    def at_work(self, model_id: str) -> Operation | None:
        return self._one(_AT_WORK, {"of_model": model_id})

    def unended(self) -> Sequence[Operation]:
        return [decode(Operation, stored) for stored in self._connection.execute(_ALL_UNENDED).scalars()]

    def page(self, query: OperationQuery, *, before: int | None, limit: int) -> Sequence[tuple[int, Operation]]:
        wanted = select(operations.c.ordinal, operations.c.record).order_by(operations.c.ordinal.desc()).limit(limit)
        if query.model_id:
            wanted = wanted.where(operations.c.model_id == query.model_id)
        if query.states:
            wanted = wanted.where(operations.c.state.in_(sorted(state.value for state in query.states)))
        if query.saga:
            wanted = wanted.where(operations.c.saga == query.saga)
        if before is not None:
            wanted = wanted.where(operations.c.ordinal < before)
        return [(row.ordinal, decode(Operation, row.record)) for row in self._connection.execute(wanted)]

    def trim(self, *, ended_before: datetime, limit: int) -> int:
        return self._connection.execute(_TRIM, {"ended_before": ended_before, "at_most": limit}).rowcount

    def _one(self, query: Any, given: dict[str, Any]) -> Operation | None:
        stored = self._connection.execute(query, given).scalar()
        return None if stored is None else decode(Operation, stored)


def _columns(operation: Operation) -> dict[str, Any]:
    return {
        "state": operation.state.value,
        "has_ended": operation.state.has_ended,
        "ended_at": operation.ended_at,
        "revision": operation.revision,
        "record": encode(operation),
    }
