"""What a role of the platform is, and what the platform hands to each when it is put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import grpc
from sqlalchemy import Connection, MetaData

from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork, SqlWork
from synapsenet.clock import Clock
from synapsenet.ids import IdSource
from synapsenet.platform.artifacts import ArtifactStore
from synapsenet.platform.locks import Locks
from synapsenet.platform.membership import Membership
from synapsenet.platform.participant import Participant
from synapsenet.platform.tokens import Tokens

if TYPE_CHECKING:
    from synapsenet_servers.children.supervisor import Supervisor
    from synapsenet_servers.config import Config

W = TypeVar("W", bound=SqlUnitOfWork)


class OpenRecords(Protocol):
    """Opens an area's records, on whatever database the profile keeps them."""

    def __call__(
        self, area: str, *, metadata: MetaData, unit: Callable[[Connection, CommitContext], W]
    ) -> AbstractAsyncContextManager[SqlWork[W]]:
        """The units of work of `area` inside an `async with`, its database brought to this release's schema.

        Raises:
            FailedPrecondition: DATA_IN_USE, DATA_NOT_WRITABLE or SCHEMA_NEWER.
            DataLoss: DATABASE_CORRUPT.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A gRPC service ready to be added to a server.

    Attributes:
        name: full name, `synapsenet.features.v1.FeatureService`.
        servicer: the object whose methods answer.
        add: the generated `add_…Servicer_to_server`.
    """

    name: str
    servicer: Any
    add: Callable[[Any, grpc.aio.Server], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Work that goes on in the background; its owner takes the role down if it ends by itself.

    Attributes:
        name: for logs and for the sentence that reports its death.
        run: started once, after the role serves; it is cancelled at shutdown.
    """

    name: str
    run: Callable[[], Awaitable[None]]


class Voucher:
    """Answers in a process's health and reflection for services that other processes serve.

    Args:
        services: their full names.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self.services = tuple(services)
        self._known = dict.fromkeys(self.services, False)
        self._say: Callable[[str, bool], Awaitable[None]] | None = None

    async def tell(self, service: str, *, serving: bool) -> None:
        """From now on `service` is served by somebody, or by nobody."""
        self._known[service] = serving
        if self._say is not None:
            await self._say(service, serving)

    async def begin(self, say: Callable[[str, bool], Awaitable[None]]) -> None:
        """Have `say` told all that is known, and each change."""
        self._say = say
        for service, serving in self._known.items():
            await say(service, serving)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One service of the platform, put together.

    Attributes:
        name: the area.
        services: reachable from outside, through the edge.
        control: reachable only with the mesh's identity.
        tasks: its background work.
        participant: its part in sagas; None: it takes none. A process serves those of all its roles as one service.
        voucher: for a role that answers for others.
        told: lines for whoever starts it: where else it listens.
    """

    name: str
    services: Sequence[Service]
    control: Sequence[Service] = ()
    tasks: Sequence[Task] = ()
    participant: Participant[Any] | None = None
    voucher: Voucher | None = None
    told: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What every role may use.

    Attributes:
        ids: a source of ids for a kind of thing, the same source for the same kind.
        records: opens an area's records.
        data: the folder in which the role keeps its files; each area uses `data / area`.
        run: a private folder with a short path, for sockets.
        channel: the channel to another area's services, external and control ones, with deadlines and retries set.
        mesh: the address, `unix:…` or `host:port`, that the platform's own child processes dial.
        tokens: the bearer tokens of callers from outside; None where nobody is asked for one.
        background: work that what the platform handed out needs done; added to while roles are put together, run with theirs.
    """

    config: Config
    clock: Clock
    ids: Callable[[str], IdSource]
    records: OpenRecords
    data: Path
    run: Path
    locks: Locks
    membership: Membership
    artifacts: ArtifactStore
    supervisor: Supervisor
    channel: Callable[[str], grpc.aio.Channel]
    mesh: str
    tokens: Tokens | None = None
    background: list[Task] = field(default_factory=list)
