"""Epochs of what others keep and a backup may set back, such as etcd's revisions: counters that only grow."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, case
from sqlalchemy.dialects import postgresql, sqlite

from synapsenet.adapters.sql.coordination import epochs as table
from synapsenet.adapters.sql.database import Database


class SqlEpochs:
    """One row a counter."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def raised(self, name: str, *, above: int) -> int:
        """A number higher than every one before for `name`, whoever asked for it, and than `above`.

        Raises:
            SynapseError: what the database does when it is away.
        """
        return await self._database.write(lambda connection: _raise(connection, name, above))


def _raise(connection: Connection, name: str, above: int) -> int:
    """One statement, so that of two who raise it together each gets its own."""
    insert_into: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    highest = case((table.c.epoch > above, table.c.epoch), else_=above)
    raised = (
        insert_into(table)
        .values(name=name, epoch=above + 1)
        .on_conflict_do_update(index_elements=[table.c.name], set_={"epoch": highest + 1})
    )
    return int(connection.execute(raised.returning(table.c.epoch)).scalar_one())
