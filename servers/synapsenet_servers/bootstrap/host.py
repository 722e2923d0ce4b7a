"""A process that hosts roles: put together, served, their background work watched, and taken down in reverse order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc

from synapsenet.errors import Internal
from synapsenet_servers.bootstrap.participation import participation
from synapsenet_servers.bootstrap.role import Platform, Role, Service, Task
from synapsenet_servers.children.supervisor import Child
from synapsenet_servers.interceptors.authorization import Authorization
from synapsenet_servers.not_yet_available.row import Row
from synapsenet_servers.server import Server

Assemble = Callable[[Platform, AsyncExitStack], Awaitable[Role]]

_log = logging.getLogger(__name__)


class Host:
    """Roles while they are served.

    Attributes:
        ports: the ports of the outer addresses, in their order.
        told: what roles have to say of where else they listen.
    """

    def __init__(self, servers: Sequence[Server], *, told: Sequence[str] = ()) -> None:
        self._servers = tuple(servers)
        self.told = tuple(told)
        self.ports = servers[0].ports
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watches: list[asyncio.Task[None]] = []

    async def failed(self) -> None:
        """Wait until a background task or a child process that everything depends on died.

        Raises:
            Internal: TASK_DIED or CHILD_DIED, naming it.
        """
        await asyncio.shield(self._failure)

    def depend_on(self, name: str, child: Child) -> None:
        """Report the end of a child process for good, after all its restarts."""
        self._watches.append(asyncio.create_task(self._outlive(name, child), name=f"watch {name}"))

    async def _outlive(self, name: str, child: Child) -> None:
        exit_ = await child.wait()
        if not self._failure.done():
            remedy = f"see logs/{child.spec.log.name} in the data folder, then start again"
            self._failure.set_exception(Internal("CHILD_DIED", exit_.reason, remedy=remedy))

    async def retire(self) -> None:
        """Answer health checks with NOT_SERVING from now on, and all other calls as before."""
        for server in self._servers:
            await server.retire()

    def hurry(self) -> None:
        """Let the calls under way delay the end no longer."""
        for server in self._servers:
            server.hurry()

    def close(self) -> None:
        """Watch no longer: what ends from now on was asked to."""
        for watch in self._watches:
            watch.cancel()
        self._failure.cancel()

    def watch(self, role: str, task: Task, running: asyncio.Task[None]) -> None:
        """Report the end of `running`, which only its cancellation should bring."""

        def ended(done: asyncio.Task[None]) -> None:
            if done.cancelled() or self._failure.done():
                return
            _log.critical("%s: %s died", role, task.name, exc_info=done.exception())
            self._failure.set_exception(
                Internal("TASK_DIED", f"{task.name} of {role} ended by itself", remedy="see the log, then start again")
            )

        running.add_done_callback(ended)


@asynccontextmanager
async def hosting(
    platform: Platform,
    roles: Mapping[str, Assemble],
    *,
    outer: Sequence[str],
    absent: Iterable[Row],
) -> AsyncIterator[Host]:
    """Serve `roles` inside an `async with`.

    External services listen on the `outer` addresses and, with the control services, on the platform's mesh socket, which
    only this user can reach.

    Raises:
        FailedPrecondition: PORT_IN_USE, or what a role's store refuses.
    """
    rows = tuple(absent)
    async with AsyncExitStack() as stack:
        assembled = [await assemble(platform, stack) for assemble in roles.values()]
        external = [service for role in assembled for service in role.services]
        control = _control(assembled)
        options = platform.config.server
        outside = Server(external, outer, options=options, absent=rows)
        inside = Server([*external, *control], [platform.mesh], options=options, absent=rows)
        yield await _started(stack, platform, assembled, [outside, inside])


@asynccontextmanager
async def hosting_behind_envoy(
    platform: Platform,
    roles: Mapping[str, Assemble],
    *,
    listen: str,
    absent: Iterable[Row],
    credentials: grpc.ServerCredentials | None = None,
    authorization: Authorization | None = None,
) -> AsyncIterator[Host]:
    """Serve `roles` on the one address `listen` inside an `async with`, control services too: `authorization` tells apart.

    Raises:
        FailedPrecondition: PORT_IN_USE, or what a role's store refuses.
    """
    async with AsyncExitStack() as stack:
        assembled = [await assemble(platform, stack) for assemble in roles.values()]
        server = Server(
            [*(service for role in assembled for service in role.services), *_control(assembled)],
            [listen],
            options=platform.config.server,
            absent=absent,
            credentials=credentials,
            authorization=authorization,
            vouched=[service for role in assembled if role.voucher for service in role.voucher.services],
        )
        yield await _started(stack, platform, assembled, [server])


def _control(assembled: Sequence[Role]) -> list[Service]:
    """The control services of all roles, and the one by which they take part in sagas."""
    taking_part = [role.participant for role in assembled if role.participant is not None]
    own = [service for role in assembled for service in role.control]
    return [*own, *([participation(taking_part)] if taking_part else [])]


async def _started(stack: AsyncExitStack, platform: Platform, assembled: Sequence[Role], servers: Sequence[Server]) -> Host:
    """The servers serving and the background work running, until `stack` is closed."""
    for server in reversed(servers):
        await stack.enter_async_context(server.serving())
    for voucher in (role.voucher for role in assembled if role.voucher):
        await voucher.begin(servers[0].say)
    host = Host(servers, told=[line for role in assembled for line in role.told])
    stack.callback(host.close)
    shared = Role(name="platform", services=(), tasks=platform.background)
    await stack.enter_async_context(_background(host, [*assembled, shared]))
    return host


@asynccontextmanager
async def _background(host: Host, roles: Sequence[Role]) -> AsyncIterator[None]:
    running = []
    for role in roles:
        for task in role.tasks:
            started: asyncio.Task[None] = asyncio.create_task(_run(task), name=f"{role.name}: {task.name}")
            host.watch(role.name, task, started)
            running.append(started)
    try:
        yield
    finally:
        for started in running:
            started.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _run(task: Task) -> None:
    await task.run()
