"""What all roles of a process share, opened once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, MetaData

from synapsenet.adapters.artifacts import FsspecArtifacts
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.membership import SqlMembership
from synapsenet.adapters.sql.retention import Retention
from synapsenet.adapters.sql.work import CommitContext, SqlWork, open_work
from synapsenet.clock import Clock, SystemClock
from synapsenet.ids import IdSource, RandomIds
from synapsenet_servers import telemetry
from synapsenet_servers.bootstrap.data_folder import owned_folder
from synapsenet_servers.bootstrap.observed_database import observing, trace_source
from synapsenet_servers.bootstrap.observed_locks import observed_locks
from synapsenet_servers.bootstrap.role import Platform, Task, W
from synapsenet_servers.children.supervisor import Supervisor
from synapsenet_servers.config import Config
from synapsenet_servers.mesh.channels import open_channel
from synapsenet_servers.telemetry.supervision import supervisor_gauges

MESH_SOCKET = "mesh.sock"


@asynccontextmanager
async def open_platform(
    config: Config, *, data: Path, clock: Clock | None = None, ids: Callable[[str], IdSource] = RandomIds
) -> AsyncIterator[Platform]:
    """The embedded profile: coordination over SQLite, artifacts in a folder, every area behind one Unix socket.

    Args:
        data: where everything is kept.
        ids: makes the source of ids for a kind of thing; called once a kind.

    Raises:
        FailedPrecondition: DATA_IN_USE or DATA_NOT_WRITABLE.
        DataLoss: DATABASE_CORRUPT.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        run = stack.enter_context(owned_folder(data))
        mesh = f"unix:{run / MESH_SOCKET}"
        supervisor = await stack.enter_async_context(Supervisor(clock=clock, options=config.supervisor))
        stack.enter_context(telemetry.current().observing_all(supervisor_gauges(supervisor)))
        coordination = await stack.enter_async_context(
            open_coordination(data / "coordination.sqlite", observe=observing("coordination"))
        )
        channel = await stack.enter_async_context(open_channel(mesh))
        kinds = cache(ids)
        background: list[Task] = []

        def records(
            area: str, *, metadata: MetaData, unit: Callable[[Connection, CommitContext], W]
        ) -> AbstractAsyncContextManager[SqlWork[W]]:
            return open_work(
                data / area / f"{area}.sqlite",
                area=area,
                metadata=metadata,
                unit=unit,
                clock=clock,
                event_ids=kinds("event"),
                retention=Retention.of(config.retention),
                observe=observing(area),
                trace=trace_source(),
                background=lambda name, run: background.append(Task(name=name, run=run)),
            )

        yield Platform(
            config=config,
            clock=clock,
            ids=kinds,
            records=records,
            data=data,
            run=run,
            locks=stack.enter_context(observed_locks(SqlLocks(coordination, clock))),
            membership=SqlMembership(coordination, clock),
            artifacts=FsspecArtifacts(str(data / "artifacts"), clock=clock, abandoned_after=timedelta(0)),
            supervisor=supervisor,
            channel=lambda _area: channel,
            mesh=mesh,
            background=background,
        )
