"""Inference's deployments, the routes to them, and what replicas report of them, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    and_,
    delete,
    insert,
    select,
    tuple_,
    update,
)

from synapsenet.adapters.sql.participation import ParticipationTables, SqlStepNotes
from synapsenet.adapters.sql.tables import UtcDateTime, add_platform_tables
from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork
from synapsenet.inference.model import BatchingPolicy, Condition, Deployment, DeploymentState, Stage, VersionKey
from synapsenet.inference.ports import Deployments, InferenceWork, ReplicaReport, ReplicaReports, RouteTable
from synapsenet.inference.routing import Routes
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.records import decode, encode
from synapsenet.platform.work import Request

metadata = MetaData()
add_platform_tables(metadata)
participation = ParticipationTables(metadata)

deployments = Table(
    "deployments",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("model_name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("artifact_sha256", String, nullable=False),
    Column("artifact_size", BigInteger, nullable=False),
    Column("artifact_format", String, nullable=False),
    Column("max_batch_size", Integer, nullable=False),
    Column("max_linger_s", Float, nullable=False),
    Column("max_queued_rows", Integer, nullable=False),
    Column("max_queued_bytes", BigInteger, nullable=False),
    Column("max_running_batches", Integer, nullable=False),
    Column("relaxed", Boolean, nullable=False),
    Column("pinned", Boolean, nullable=False),
    Column("deploy_order", BigInteger, nullable=False),
    Column("deployed_at", UtcDateTime, nullable=False),
    Column("condition_reason", String),
    Column("condition_message", String),
    Column("condition_since", UtcDateTime),
    Column("request_id", String, nullable=False),
    Column("request_digest", LargeBinary, nullable=False),
    Column("stage", Integer, nullable=False, server_default="3"),
    Column("operation_id", String, nullable=False, server_default=""),
    Column("attempt", BigInteger, nullable=False, server_default="0"),
)

routes = Table(
    "routes",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("shares", LargeBinary, nullable=False),
    Column("operation_id", String, nullable=False),
)

replica_reports = Table(
    "replica_reports",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("replica", String, primary_key=True),
    Column("report", LargeBinary, nullable=False),
)


class SqlInferenceWork(SqlUnitOfWork, InferenceWork):
    """Inference's unit of work."""

    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        self.deployments = SqlDeployments(connection)
        self.routes = SqlRouteTable(connection)
        self.reports = SqlReplicaReports(connection)
        self.step_notes = SqlStepNotes(connection, participation)


class SqlDeployments(Deployments):
    """The port in one table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, deployment: Deployment, request: Request) -> None:
        self._connection.execute(insert(deployments), _to_row(deployment) | _request_columns(request))

    def find(self, key: VersionKey) -> Deployment | None:
        row = self._connection.execute(select(deployments).where(*_is(key))).one_or_none()
        return None if row is None else _from_row(row)

    def request(self, key: VersionKey) -> Request:
        columns = select(deployments.c.request_id, deployments.c.request_digest)
        row = self._connection.execute(columns.where(*_is(key))).one()
        return Request(row.request_id, bytes(row.request_digest))

    def update(self, deployment: Deployment, request: Request | None = None) -> None:
        row = _to_row(deployment) | ({} if request is None else _request_columns(request))
        self._connection.execute(update(deployments).where(*_is(deployment.key)).values(row))

    def remove(self, key: VersionKey) -> None:
        self._connection.execute(delete(deployments).where(*_is(key)))

    def all(self) -> Sequence[Deployment]:
        rows = self._connection.execute(select(deployments).order_by(deployments.c.deploy_order))
        return [_from_row(row) for row in rows]

    def page(self, request: PageRequest, *, model_id: str) -> Page[Deployment]:
        place = deployments.c.model_id, deployments.c.version
        query = select(deployments).order_by(*place).limit(request.limit + 1)
        if model_id:
            query = query.where(deployments.c.model_id == model_id)
        if (after := request.after) is not None:
            query = query.where(tuple_(*place) > tuple(after))
        rows = [_from_row(row) for row in self._connection.execute(query)]
        return request.page(rows, key=lambda deployment: (deployment.key.model_id, deployment.key.version))


class SqlRouteTable(RouteTable):
    """The port in one table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, model_id: str) -> Routes | None:
        row = self._connection.execute(select(routes).where(routes.c.model_id == model_id)).one_or_none()
        return None if row is None else _routes(row)

    def put(self, changed: Routes) -> None:
        row = {"generation": changed.generation, "shares": encode(changed.shares), "operation_id": changed.operation_id}
        here = routes.c.model_id == changed.model_id
        if not self._connection.execute(update(routes).where(here).values(row)).rowcount:
            self._connection.execute(insert(routes), {"model_id": changed.model_id, **row})

    def all(self) -> Sequence[Routes]:
        return [_routes(row) for row in self._connection.execute(select(routes).order_by(routes.c.model_id))]


class SqlReplicaReports(ReplicaReports):
    """The port in one table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, report: ReplicaReport) -> None:
        here = and_(_about(report.key), replica_reports.c.replica == report.replica)
        encoded = encode(report)
        if not self._connection.execute(update(replica_reports).where(here).values(report=encoded)).rowcount:
            place = {"model_id": report.key.model_id, "version": report.key.version, "replica": report.replica}
            self._connection.execute(insert(replica_reports), {**place, "report": encoded})

    def of(self, key: VersionKey) -> Sequence[ReplicaReport]:
        rows = self._connection.execute(select(replica_reports).where(_about(key)).order_by(replica_reports.c.replica))
        return [decode(ReplicaReport, bytes(row.report)) for row in rows]

    def remove(self, key: VersionKey) -> None:
        self._connection.execute(delete(replica_reports).where(_about(key)))


def _about(key: VersionKey) -> ColumnElement[bool]:
    return and_(replica_reports.c.model_id == key.model_id, replica_reports.c.version == key.version)


def _routes(row: Row[Any]) -> Routes:
    shares = decode(dict[int, float], bytes(row.shares))
    return Routes(model_id=row.model_id, generation=row.generation, shares=shares, operation_id=row.operation_id)


def _is(key: VersionKey) -> tuple[Any, Any]:
    return deployments.c.model_id == key.model_id, deployments.c.version == key.version


def _request_columns(request: Request) -> dict[str, Any]:
    return {"request_id": request.id, "request_digest": request.digest}


def _to_row(deployment: Deployment) -> dict[str, Any]:
    policy, condition = deployment.batching, deployment.condition
    return {
        "model_id": deployment.key.model_id,
        "version": deployment.key.version,
        "model_name": deployment.model_name,
        "state": deployment.state.value,
        "artifact_sha256": deployment.artifact_sha256,
        "artifact_size": deployment.artifact_size,
        "artifact_format": deployment.artifact_format,
        "max_batch_size": policy.max_batch_size,
        "max_linger_s": policy.max_linger.total_seconds(),
        "max_queued_rows": policy.max_queued_rows,
        "max_queued_bytes": policy.max_queued_bytes,
        "max_running_batches": policy.max_running_batches,
        "relaxed": deployment.relaxed,
        "pinned": deployment.pinned,
        "deploy_order": deployment.order,
        "deployed_at": deployment.deployed_at,
        "condition_reason": condition.reason if condition else None,
        "condition_message": condition.message if condition else None,
        "condition_since": condition.since if condition else None,
        "stage": int(deployment.stage),
        "operation_id": deployment.operation_id,
        "attempt": deployment.attempt,
    }


def _from_row(row: Row[Any]) -> Deployment:
    deployment = Deployment(
        key=VersionKey(row.model_id, row.version),
        model_name=row.model_name,
        state=DeploymentState(row.state),
        artifact_sha256=row.artifact_sha256,
        artifact_size=row.artifact_size,
        artifact_format=row.artifact_format,
        batching=BatchingPolicy(
            max_batch_size=row.max_batch_size,
            max_linger=timedelta(seconds=row.max_linger_s),
            max_queued_rows=row.max_queued_rows,
            max_queued_bytes=row.max_queued_bytes,
            max_running_batches=row.max_running_batches,
        ),
        relaxed=row.relaxed,
        pinned=row.pinned,
        order=row.deploy_order,
        deployed_at=row.deployed_at,
        stage=Stage(row.stage),
        operation_id=row.operation_id,
        attempt=row.attempt,
    )
    if row.condition_reason is None:
        return deployment
    condition = Condition(reason=row.condition_reason, message=row.condition_message, since=row.condition_since)
    return replace(deployment, condition=condition)
