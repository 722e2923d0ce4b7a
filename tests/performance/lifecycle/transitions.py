"""A version that goes back and forth between two states: through the coordinator's ledger, and by its bare statements."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, bindparam, insert, select, update

from synapsenet.adapters.sql.lifecycle import metadata
from synapsenet.adapters.sql.lifecycle.tables import transitions, versions
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.lifecycle.events import VersionTransitioned, aggregate
from synapsenet.lifecycle.ledger import adopt, take
from synapsenet.lifecycle.model import Caller, VersionStatus
from synapsenet.lifecycle.ports import LifecycleWork
from synapsenet.lifecycle.table import MACHINE
from synapsenet.platform.records import decode, encode
from synapsenet.platform.work import Request, WorkFactory

DIGEST = b"d" * 32
EVENTS = {"registered": "deprecate", "deprecated": "restore"}
ABOUT = aggregate("mdl-0")
THIS = {"of": "mdl-0", "number": 1}
CALLER = Caller(actor="ada", reason="because", request_id="wish", trace_id="0f" * 16)

_MOVED: dict[str, Any] = {
    name: bindparam(f"new_{name}") for name in ("state", "operation_id", "sequence", "entered_at", "record")
}


def registered(model_id: str) -> VersionStatus:
    """A version as the registry has it."""
    now = datetime.now(UTC)
    return VersionStatus(model_id=model_id, model_name="digits", version=1, state="registered", entered_at=now, updated_at=now)


class Swinging:
    """A transition a call, as the coordinator makes one: validated by the table, compared and set, with history and event."""

    def __init__(self, work: WorkFactory[Any], model_id: str = "mdl-0") -> None:
        self._work = work
        self._model_id = model_id
        self._numbers = itertools.count()

    async def begin(self) -> None:
        await self._work.run(lambda tx: adopt(tx, registered(self._model_id), caller=CALLER))

    async def swing(self) -> None:
        """To the other state."""
        request, now = Request(f"{self._model_id}-{next(self._numbers)}", DIGEST), datetime.now(UTC)

        def commit(tx: LifecycleWork) -> VersionStatus:
            def make() -> VersionStatus:
                status = tx.versions.find(self._model_id, 1)
                assert status is not None
                rule = MACHINE.rule(status.state, EVENTS[status.state], title=status.title)
                return take(tx, status, rule, caller=CALLER, at=now)

            return tx.once(request, VersionStatus, make)

        await self._work.run(commit)


class BareSwinging:
    """The same rows by the same statements, built once, through SQLAlchemy Core on one connection and nothing else."""

    def __init__(self, engine: Engine) -> None:
        tables = PlatformTables(metadata)
        requests, counters = tables.requests, tables.aggregates
        this = (versions.c.model_id == bindparam("of")) & (versions.c.version == bindparam("number"))
        counted = counters.c.aggregate == bindparam("about")
        self._connection = engine.connect()
        self._numbers = itertools.count(1)
        self._remembered = select(requests.c.digest, requests.c.answer).where(requests.c.id == bindparam("request"))
        self._version = select(versions.c.record).where(this)
        self._count = update(counters).where(counted).values(sequence=counters.c.sequence + 1).returning(counters.c.sequence)
        self._tell = insert(tables.outbox)
        self._move = update(versions).where(this, versions.c.sequence == bindparam("former")).values(_MOVED)
        self._note = insert(transitions)
        self._remember = insert(requests)
        status = registered("mdl-0")
        row = {"model_id": "mdl-0", "version": 1, "state": status.state, "operation_id": "", "sequence": 0}
        with self._connection.begin():
            self._connection.execute(insert(counters), {"aggregate": ABOUT, "sequence": 0})
            self._connection.execute(insert(versions), row | {"entered_at": status.entered_at, "record": encode(status)})

    def close(self) -> None:
        self._connection.close()

    def swing(self) -> None:
        """Look the request and the version up; store its new state, the history's line, the event, the request: one commit."""
        execute, number, now = self._connection.execute, next(self._numbers), datetime.now(UTC)
        with self._connection.begin():
            execute(self._remembered, {"request": f"request-{number}"}).one_or_none()
            old = decode(VersionStatus, execute(self._version, THIS).scalar_one())
            target = "deprecated" if old.state == "registered" else "registered"
            new = replace(old, state=target, sequence=number, entered_at=now, updated_at=now)
            event = VersionTransitioned(source=old.state, event=EVENTS[old.state], status=new, caller=CALLER)
            execute(self._count, {"about": ABOUT}).scalar_one()
            execute(self._tell, self._event(number, event, now))
            columns = {"state": target, "operation_id": "", "sequence": number, "entered_at": now, "record": encode(new)}
            moved = execute(self._move, THIS | {"former": old.sequence} | {f"new_{name}": columns[name] for name in columns})
            assert moved.rowcount == 1
            execute(self._note, self._line(old, new, now))
            remembered = {"id": f"request-{number}", "digest": DIGEST, "answer": encode(new), "remembered_at": now}
            execute(self._remember, remembered)

    def _event(self, number: int, event: VersionTransitioned, now: datetime) -> dict[str, object]:
        return {
            "id": f"event-{number}",
            "aggregate": ABOUT,
            "sequence": number,
            "type": "VersionTransitioned",
            "payload": encode(event),
            "occurred_at": now,
        }

    def _line(self, old: VersionStatus, new: VersionStatus, now: datetime) -> dict[str, object]:
        return {
            "model_id": "mdl-0",
            "sequence": new.sequence,
            "version": 1,
            "source": old.state,
            "event": EVENTS[old.state],
            "target": new.state,
            "actor": CALLER.actor,
            "reason": CALLER.reason,
            "request_id": CALLER.request_id,
            "trace_id": CALLER.trace_id,
            "operation_id": "",
            "at": now,
        }
