"""What happened: transitions, each by the number of its event; what validations found; and who has read how far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, text, update

from synapsenet.adapters.sql.lifecycle.tables import marks, reports, transitions
from synapsenet.lifecycle.model import Caller, Transition
from synapsenet.lifecycle.ports import History, HistoryQuery, Marks, Reports
from synapsenet.lifecycle.report import ValidationReport
from synapsenet.platform.records import decode, encode

_SERVING = "serving"

_ADD = insert(transitions)
_KEEP = insert(reports)
_KEEP_AGAIN = update(reports).where(reports.c.operation_id == bindparam("of_operation")).values(record=bindparam("record"))
_NEWEST = (
    select(reports.c.record)
    .where(reports.c.model_id == bindparam("of_model"), reports.c.version == bindparam("of_version"))
    .order_by(reports.c.number.desc())
    .limit(1)
)
_POSITION = select(marks.c.position).where(marks.c.name == bindparam("of_name"))
_MOVE = text(
    "INSERT INTO marks (name, position) VALUES (:name, :position) ON CONFLICT (name) DO UPDATE SET position = excluded.position"
)


class SqlHistory(History):
    """The table `transitions`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, transition: Transition) -> None:
        self._connection.execute(_ADD, _to_row(transition))

    def page(self, query: HistoryQuery, *, before: int | None, limit: int) -> Sequence[Transition]:
        of_model = transitions.c.model_id == query.model_id
        wanted = select(transitions).where(of_model).order_by(transitions.c.sequence.desc()).limit(limit)
        if query.version is not None:
            wanted = wanted.where(transitions.c.version == query.version)
        if query.since is not None:
            wanted = wanted.where(transitions.c.at >= query.since)
        if query.actor:
            wanted = wanted.where(transitions.c.actor == query.actor)
        if before is not None:
            wanted = wanted.where(transitions.c.sequence < before)
        return [_from_row(row) for row in self._connection.execute(wanted)]

    def last_serving(self, model_id: str, *, but: frozenset[int]) -> int | None:
        came = (transitions.c.target == _SERVING) & (transitions.c.source != _SERVING)
        wanted = (
            select(transitions.c.version)
            .where(transitions.c.model_id == model_id, came)
            .order_by(transitions.c.sequence.desc())
            .limit(1)
        )
        if but:
            wanted = wanted.where(transitions.c.version.not_in(sorted(but)))
        return self._connection.execute(wanted).scalar()


class SqlReports(Reports):
    """The table `reports`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, report: ValidationReport) -> None:
        record = encode(report)
        if self._connection.execute(_KEEP_AGAIN, {"of_operation": report.operation_id, "record": record}).rowcount:
            return
        place = {"operation_id": report.operation_id, "model_id": report.model_id, "version": report.version}
        self._connection.execute(_KEEP, place | {"record": record})

    def newest(self, model_id: str, version: int) -> ValidationReport | None:
        stored = self._connection.execute(_NEWEST, {"of_model": model_id, "of_version": version}).scalar()
        return None if stored is None else decode(ValidationReport, stored)


class SqlMarks(Marks):
    """The table `marks`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def position(self, name: str) -> int:
        return self._connection.execute(_POSITION, {"of_name": name}).scalar() or 0

    def move(self, name: str, position: int) -> None:
        self._connection.execute(_MOVE, {"name": name, "position": position})


def _to_row(transition: Transition) -> dict[str, Any]:
    caller = transition.caller
    return {
        "model_id": transition.model_id,
        "sequence": transition.sequence,
        "version": transition.version,
        "source": transition.source,
        "event": transition.event,
        "target": transition.target,
        "actor": caller.actor,
        "reason": caller.reason,
        "request_id": caller.request_id,
        "trace_id": caller.trace_id,
        "operation_id": transition.operation_id,
        "at": transition.at,
    }


def _from_row(row: Row[Any]) -> Transition:
    return Transition(
        sequence=row.sequence,
        model_id=row.model_id,
        version=row.version,
        source=row.source,
        event=row.event,
        target=row.target,
        caller=Caller(actor=row.actor, reason=row.reason, request_id=row.request_id, trace_id=row.trace_id),
        operation_id=row.operation_id,
        at=row.at,
    )
