"""Where versions are, and whose token was the highest: what every transition compares before it writes.

The statements are built once: building them anew costs a fifth of a small commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, text, update

from synapsenet.adapters.sql.lifecycle.tables import versions
from synapsenet.lifecycle.model import VersionStatus
from synapsenet.lifecycle.ports import Fences, Versions
from synapsenet.platform.records import decode, encode

_OF_MODEL = versions.c.model_id == bindparam("of_model")
_THAT = _OF_MODEL & (versions.c.version == bindparam("of_version"))

_FIND = select(versions.c.record).where(_THAT)
_ALL = select(versions.c.record).where(_OF_MODEL).order_by(versions.c.version)
_ADD = insert(versions)
_REPLACE = (
    update(versions)
    .where(_THAT, versions.c.sequence == bindparam("expected"))
    .values({name: bindparam(name) for name in ("state", "operation_id", "sequence", "entered_at", "record")})
)
_OVERDUE = (
    select(versions.c.record)
    .where(
        versions.c.state == bindparam("in_state"), versions.c.entered_at < bindparam("before"), versions.c.operation_id == ""
    )
    .order_by(versions.c.entered_at, versions.c.model_id, versions.c.version)
    .limit(bindparam("at_most"))
)
_CLAIM = text(
    "INSERT INTO fences (model_id, token) VALUES (:model_id, :token)"
    " ON CONFLICT (model_id) DO UPDATE SET token = excluded.token WHERE fences.token <= excluded.token"
)


class SqlVersions(Versions):
    """The table `versions`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, model_id: str, version: int) -> VersionStatus | None:
        stored = self._connection.execute(_FIND, {"of_model": model_id, "of_version": version}).scalar()
        return None if stored is None else decode(VersionStatus, stored)

    def of(self, model_id: str) -> Sequence[VersionStatus]:
        return self._read(_ALL, {"of_model": model_id})

    def add(self, status: VersionStatus) -> None:
        self._connection.execute(_ADD, {"model_id": status.model_id, "version": status.version, **_columns(status)})

    def replace(self, status: VersionStatus, *, sequence: int) -> bool:
        place = {"of_model": status.model_id, "of_version": status.version, "expected": sequence}
        return self._connection.execute(_REPLACE, place | _columns(status)).rowcount == 1

    def overdue(self, state: str, *, before: datetime, limit: int) -> Sequence[VersionStatus]:
        return self._read(_OVERDUE, {"in_state": state, "before": before, "at_most": limit})

    def _read(self, query: Any, given: dict[str, Any]) -> list[VersionStatus]:
        return [decode(VersionStatus, stored) for stored in self._connection.execute(query, given).scalars()]


class SqlFences(Fences):
    """The table `fences`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, model_id: str, token: int) -> bool:
        claimed: Any = self._connection.execute(_CLAIM, {"model_id": model_id, "token": token})
        return bool(claimed.rowcount == 1)


def _columns(status: VersionStatus) -> dict[str, Any]:
    return {
        "state": status.state,
        "operation_id": status.operation_id,
        "sequence": status.sequence,
        "entered_at": status.entered_at,
        "record": encode(status),
    }
