"""Epochs: they count how often a counter that others keep, such as etcd's revision, was set back by a restored backup."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from synapsenet.adapters.sql.coordination import epochs as table
from synapsenet.adapters.sql.database import Database


@dataclass(frozen=True, slots=True)
class _Known:
    epoch: int
    highest: int


class SqlEpochs:
    """One row a counter: its present epoch, and the highest value seen in it.

    (epoch, value) grows for ever, whatever happens to the counter.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def epoch(self, name: str, seen: Callable[[], Awaitable[int]]) -> int:
        """The present epoch of counter `name`, from 0, raised by one if the counter was set back since it was last looked at.

        Args:
            seen: reads the counter, linearizably. It is called after the highest value was read here: a value read before
                might be below what another process has reported meanwhile without anything having been set back.

        Raises:
            SynapseError: what `seen` raises, and what the database does when it is away.
        """
        known = await self._database.read(lambda connection: _read(connection, name))
        value = await seen()
        return await self._database.write(lambda connection: _settle(connection, name, known, value))

    async def raised(self, name: str) -> int:
        """An epoch of counter `name` higher than every one before, for who cannot tell whether the counter was set back."""
        return await self._database.write(lambda connection: _raise(connection, name))


def _raise(connection: Connection, name: str) -> int:
    """One statement, so that of two who raise it together each gets its own."""
    insert_into: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    raised = (
        insert_into(table)
        .values(name=name, epoch=1, highest=0)
        .on_conflict_do_update(index_elements=[table.c.name], set_={"epoch": table.c.epoch + 1})
    )
    return int(connection.execute(raised.returning(table.c.epoch)).scalar_one())


def _read(connection: Connection, name: str) -> _Known | None:
    row = connection.execute(select(table.c.epoch, table.c.highest).where(table.c.name == name)).one_or_none()
    return None if row is None else _Known(row.epoch, row.highest)


def _settle(connection: Connection, name: str, known: _Known | None, value: int) -> int:
    """The epoch to go by; `known` is how the row was before the counter showed `value`."""
    stored = _read(connection, name)
    if stored is None:
        connection.execute(insert(table), {"name": name, "epoch": 0, "highest": value})
        return 0
    mine = table.c.name == name
    if known is not None and known.epoch == stored.epoch and value < known.highest:
        connection.execute(update(table).where(mine).values(epoch=stored.epoch + 1, highest=value))
        return stored.epoch + 1
    if value > stored.highest:
        connection.execute(update(table).where(mine).values(highest=value))
    return stored.epoch
