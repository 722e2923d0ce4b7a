"""Experiments on SQL: heads and labels in rows, series in rows of points with a summary kept beside them."""

from __future__ import annotations

from sqlalchemy import Connection

from synapsenet.adapters.sql.experiments.experiments import SqlExperimentRecords
from synapsenet.adapters.sql.experiments.runs import SqlRunRecords
from synapsenet.adapters.sql.experiments.series import SqlSeriesRecords
from synapsenet.adapters.sql.experiments.tables import metadata
from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork
from synapsenet.experiments.ports import ExperimentsWork

__all__ = ["SqlExperimentsWork", "metadata"]


class SqlExperimentsWork(SqlUnitOfWork, ExperimentsWork):
    """One transaction over the experiments' database."""

    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        self.experiments = SqlExperimentRecords(connection)
        self.runs = SqlRunRecords(connection)
        self.series = SqlSeriesRecords(connection)
