"""The coordinator's records on SQL."""

from __future__ import annotations

from sqlalchemy import Connection

from synapsenet.adapters.sql.lifecycle.history import SqlHistory, SqlMarks, SqlReports
from synapsenet.adapters.sql.lifecycle.operations import SqlOperations
from synapsenet.adapters.sql.lifecycle.tables import metadata
from synapsenet.adapters.sql.lifecycle.versions import SqlFences, SqlVersions
from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork
from synapsenet.lifecycle.ports import LifecycleWork

__all__ = ["SqlLifecycleWork", "metadata"]


class SqlLifecycleWork(SqlUnitOfWork, LifecycleWork):
    """One transaction over the coordinator's database."""

    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        self.versions = SqlVersions(connection)
        self.fences = SqlFences(connection)
        self.operations = SqlOperations(connection)
        self.history = SqlHistory(connection)
        self.reports = SqlReports(connection)
        self.marks = SqlMarks(connection)
