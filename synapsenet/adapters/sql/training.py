"""Training's records on SQL: the columns that are searched, and beside them the whole record."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from synapsenet.adapters.sql.tables import UtcDateTime, add_platform_tables
from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork
from synapsenet.errors import NotFound
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.records import decode, encode
from synapsenet.training.model import Job, JobState, Worker
from synapsenet.training.ports import Jobs, TrainingWork, Workers

metadata = MetaData()
add_platform_tables(metadata)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("experiment_id", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("ix_jobs_created_at", "created_at", "id"),
    Index("ix_jobs_state_created_at", "state", "created_at", "id"),
    Index("ix_jobs_experiment_id_created_at", "experiment_id", "created_at", "id"),
)

workers = Table(
    "workers",
    metadata,
    Column("job_id", String, primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("record", LargeBinary, nullable=False),
)


class SqlJobs(Jobs):
    """The jobs in one table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, job: Job) -> None:
        self._connection.execute(insert(jobs), {"id": job.id, **_row(job)})

    def put(self, job: Job) -> None:
        self._connection.execute(update(jobs).where(jobs.c.id == job.id).values(**_row(job)))

    def get(self, job_id: str) -> Job:
        stored = self._connection.execute(select(jobs.c.record).where(jobs.c.id == job_id)).scalar()
        if stored is None:
            remedy = "list the jobs for those that there are"
            facts = {"job_id": job_id}
            raise NotFound("JOB_UNKNOWN", f"there is no job {job_id!r}", field="job_id", remedy=remedy, metadata=facts)
        return decode(Job, stored)

    def page(self, page: PageRequest, *, states: Set[JobState], experiment_id: str) -> Page[Job]:
        query = select(jobs.c.record).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(page.limit + 1)
        if states:
            query = query.where(jobs.c.state.in_(sorted(state.value for state in states)))
        if experiment_id:
            query = query.where(jobs.c.experiment_id == experiment_id)
        if page.after is not None:
            last = select(jobs.c.created_at).where(jobs.c.id == page.after[0]).scalar_subquery()
            older = jobs.c.created_at < last
            query = query.where(or_(older, and_(jobs.c.created_at == last, jobs.c.id < page.after[0])))
        found = [decode(Job, stored) for stored in self._connection.execute(query).scalars()]
        return page.page(found, key=lambda job: [job.id])

    def in_state(self, state: JobState, *, limit: int) -> Sequence[Job]:
        query = select(jobs.c.record).where(jobs.c.state == state.value).order_by(jobs.c.created_at, jobs.c.id).limit(limit)
        return [decode(Job, stored) for stored in self._connection.execute(query).scalars()]

    def count(self, state: JobState) -> int:
        query = select(func.count()).select_from(jobs).where(jobs.c.state == state.value)
        return self._connection.execute(query).scalar_one()


class SqlWorkers(Workers):
    """The workers in one table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, given: Sequence[Worker]) -> None:
        if not given:
            return
        for worker in given:
            mine = and_(workers.c.job_id == worker.job_id, workers.c.index == worker.index)
            self._connection.execute(delete(workers).where(mine))
        rows = [{"job_id": worker.job_id, "index": worker.index, "record": encode(worker)} for worker in given]
        self._connection.execute(insert(workers), rows)

    def of(self, job_id: str) -> Sequence[Worker]:
        query = select(workers.c.record).where(workers.c.job_id == job_id).order_by(workers.c.index)
        return [decode(Worker, stored) for stored in self._connection.execute(query).scalars()]


class SqlTrainingWork(SqlUnitOfWork, TrainingWork):
    """One transaction over training's tables."""

    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        self.jobs = SqlJobs(connection)
        self.workers = SqlWorkers(connection)


def _row(job: Job) -> dict[str, Any]:
    return {
        "state": job.state.value,
        "experiment_id": job.spec.experiment_id,
        "created_at": job.created_at,
        "record": encode(job),
    }
