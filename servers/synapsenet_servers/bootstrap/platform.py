"""What all roles of a process share, opened once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path

from synapsenet.adapters.artifacts import FsspecArtifacts
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.membership import SqlMembership
from synapsenet.clock import Clock, SystemClock
from synapsenet.ids import IdSource, RandomIds
from synapsenet_servers.bootstrap.role import Platform
from synapsenet_servers.config import Config
from synapsenet_servers.mesh.channels import open_channel
from synapsenet_servers.supervisor import Supervisor

MESH_SOCKET = "mesh.sock"


@asynccontextmanager
async def open_platform(
    config: Config,
    *,
    data: Path,
    run: Path,
    clock: Clock | None = None,
    ids: Callable[[str], IdSource] = RandomIds,
) -> AsyncIterator[Platform]:
    """The embedded profile: coordination over SQLite, artifacts in a folder, every area behind one Unix socket.

    Args:
        data: where everything is kept.
        run: a private folder with a short path, for sockets.
        ids: makes the source of ids for a kind of thing; called once a kind.

    Raises:
        FailedPrecondition: DATA_IN_USE or DATA_NOT_WRITABLE.
        DataLoss: DATABASE_CORRUPT.
    """
    clock = clock or SystemClock()
    mesh = f"unix:{run / MESH_SOCKET}"
    async with AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(Supervisor(clock=clock, options=config.supervisor))
        coordination = await stack.enter_async_context(open_coordination(data / "coordination.sqlite"))
        channel = await stack.enter_async_context(open_channel(mesh))
        yield Platform(
            config=config,
            clock=clock,
            ids=cache(ids),
            data=data,
            run=run,
            locks=SqlLocks(coordination, clock),
            membership=SqlMembership(coordination, clock),
            artifacts=FsspecArtifacts(str(data / "artifacts"), clock=clock),
            supervisor=supervisor,
            channel=lambda _area: channel,
            mesh=mesh,
        )
