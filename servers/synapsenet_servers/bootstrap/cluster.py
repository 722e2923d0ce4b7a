"""The cluster profile: the same platform on etcd, PostgreSQL, Kafka and a store of artifacts that all processes share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from synapsenet.adapters.artifacts import FsspecArtifacts
from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.membership import EtcdMembership
from synapsenet.adapters.etcd.session import open_session
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.postgres_server import open_postgres, postgres_records
from synapsenet.adapters.sql.retention import Retention
from synapsenet.clock import Clock, SystemClock
from synapsenet.ids import IdSource, RandomIds
from synapsenet_servers import telemetry
from synapsenet_servers.bootstrap.data_folder import owned_folder
from synapsenet_servers.bootstrap.observed_database import observing, trace_source
from synapsenet_servers.bootstrap.observed_locks import observed_locks
from synapsenet_servers.bootstrap.relay import relayed
from synapsenet_servers.bootstrap.role import Platform, Task
from synapsenet_servers.children.supervisor import Supervisor
from synapsenet_servers.config import Config
from synapsenet_servers.mesh.channels import open_channel
from synapsenet_servers.telemetry.instruments import ETCD_SESSION
from synapsenet_servers.telemetry.supervision import supervisor_gauges


@asynccontextmanager
async def open_cluster(
    config: Config,
    *,
    data: Path,
    clock: Clock | None = None,
    ids: Callable[[str], IdSource] = RandomIds,
) -> AsyncIterator[Platform]:
    """What the roles of one process share, inside an `async with`.

    Args:
        data: a folder of this process alone.
        ids: makes the source of ids for a kind of thing; called once a kind.

    Raises:
        FailedPrecondition: DATA_IN_USE or DATA_NOT_WRITABLE; what PostgreSQL or etcd cannot do for us.
        Unavailable: DATABASE_UNAVAILABLE, ETCD_UNAVAILABLE.
        Unauthenticated, PermissionDenied: etcd refuses us.
    """
    clock = clock or SystemClock()
    holder = f"{config.mesh.host_name}/{os.getpid()}"
    kinds = cache(ids)
    background: list[Task] = []

    def go_on(name: str, run: Callable[[], Awaitable[None]]) -> None:
        background.append(Task(name=name, run=run))

    async with AsyncExitStack() as stack:
        run = stack.enter_context(owned_folder(data))
        supervisor = await stack.enter_async_context(Supervisor(clock=clock, options=config.supervisor))
        stack.enter_context(telemetry.current().observing_all(supervisor_gauges(supervisor)))
        postgres = await stack.enter_async_context(open_postgres(database_options(config), clock, observe=observing))
        told = telemetry.current()
        opening = open_session(
            config.etcd, clock=clock, epochs=postgres.epochs, interceptors=told.channel_interceptors(begins=False)
        )
        session = await stack.enter_async_context(opening)
        stack.enter_context(told.observing(ETCD_SESSION, lambda: [(float(session.is_alive), {})]))
        locks = stack.enter_context(observed_locks(EtcdLocks(session)))
        kept = Retention.of(config.retention, relayed=bool(config.kafka.brokers))
        events, trace = kinds("event"), trace_source()
        stored = postgres_records(
            postgres, locks=locks, holder=holder, event_ids=events, background=go_on, retention=kept, trace=trace
        )
        mesh = f"unix:{Path(config.mesh.socket).absolute()}"  # noqa: ASYNC240 - asks no disk
        channel = await stack.enter_async_context(open_channel(mesh, patient=True))
        yield Platform(
            config=config,
            clock=clock,
            ids=kinds,
            records=relayed(stored, config.kafka, locks=locks, clock=clock, holder=holder, background=background),
            data=data,
            run=run,
            locks=locks,
            membership=EtcdMembership(session),
            artifacts=FsspecArtifacts(config.artifacts.url or str(data / "artifacts"), clock=clock),
            supervisor=supervisor,
            channel=lambda _area: channel,
            mesh=mesh,
            background=background,
        )


def database_options(config: Config) -> PostgresOptions:
    """What is set for the database; but whoever takes a hung coordinator's models over finds the turn to write free."""
    return replace(config.postgres, idle_s=min(config.postgres.idle_s, config.lifecycle.lease_s))
