"""A process of the cluster profile: the roles that it is told to host, registered while it serves, drained at its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from synapsenet.errors import InvalidArgument
from synapsenet_servers import telemetry
from synapsenet_servers.bootstrap.cluster import open_cluster
from synapsenet_servers.bootstrap.host import Assemble, Host, hosting_behind_envoy
from synapsenet_servers.bootstrap.role import Platform, Task
from synapsenet_servers.bootstrap.roles import ROLES, Rooms
from synapsenet_servers.bootstrap.security import secured
from synapsenet_servers.config import Config
from synapsenet_servers.mesh.clusters import MESH_ROLE
from synapsenet_servers.mesh.mesh_options import MeshOptions
from synapsenet_servers.mesh.ports import free_port
from synapsenet_servers.mesh.registration import Registration
from synapsenet_servers.mesh.sole import SOLE, sole_place
from synapsenet_servers.not_yet_available.areas import rows_of
from synapsenet_servers.release import RELEASE
from synapsenet_servers.security.options import check_services_bind

_log = logging.getLogger(__name__)

KNOWN = Rooms(*ROLES, MESH_ROLE)
"""Every role that can be served."""

_SOCKET = "serve.sock"
_LEAVE_S = 2.0
_WILDCARDS = ("0.0.0.0", "[::]")  # noqa: S104 - what an address that others cannot use looks like


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What `synapsenet serve` is told.

    Attributes:
        roles: names of `KNOWN`, at least one.
        data: a folder of this process alone.
    """

    roles: Sequence[str]
    data: Path = Path(".synapsenet")
    config: Config = field(default_factory=Config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A process that serves.

    Attributes:
        address: where its roles are reached, `host:port` or `unix:PATH`.
        told: lines about where else it listens.
    """

    host: Host
    registration: Registration
    address: str
    told: Sequence[str]


def main(options: ServeOptions, announce: Callable[[Served], None]) -> None:
    """`run` to its end on an event loop of its own."""
    with (
        telemetry.open(options.config.telemetry, service="+".join(options.roles)),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(run(options, announce))


async def run(options: ServeOptions, announce: Callable[[Served], None]) -> None:
    """Serve, announce it, and end on SIGINT or SIGTERM without losing a call; a second signal ends the calls under way at once.

    Raises:
        InvalidArgument: ROLE_UNKNOWN; MESH_OPTION_INVALID; SERVICES_EXPOSED; EDGE_UNPROTECTED.
        FailedPrecondition: PORT_IN_USE, DATA_IN_USE, DATA_NOT_WRITABLE, SCHEMA_NEWER, ROLE_TAKEN.
        Unavailable: etcd or PostgreSQL cannot be reached.
        Internal: TASK_DIED, a part of the process ended by itself.
    """
    asked, hurried = asyncio.Event(), asyncio.Event()
    _on_signal(asked.set)
    async with serving(options) as served:
        announce(served)
        stop, failed = asyncio.ensure_future(asked.wait()), asyncio.ensure_future(served.host.failed())
        await asyncio.wait({stop, failed}, return_when=asyncio.FIRST_COMPLETED)

        def hurry() -> None:
            hurried.set()
            served.host.hurry()

        _on_signal(hurry)
        stop.cancel()
        await _retire(served, options.config.mesh, hurried)
        failed.cancel()
        if failed.done() and not failed.cancelled():
            failed.result()


async def _retire(served: Served, options: MeshOptions, hurried: asyncio.Event) -> None:
    """Be known to nobody any more, before what is under way is told to end."""
    await served.registration.leave(within=options.propagation_s)
    await served.host.retire()
    try:
        async with asyncio.timeout(options.propagation_s):
            await hurried.wait()
    except TimeoutError:
        pass


@asynccontextmanager
async def serving(options: ServeOptions) -> AsyncIterator[Served]:
    """The roles inside an `async with`, registered.

    Raises:
        as `run`.
    """
    roles = chosen(options.roles)
    settings = options.config.mesh
    _check_listen(options.config)
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(open_cluster(options.config, data=options.data.resolve()))
        listen = settings.listen or f"unix:{platform.run / _SOCKET}"
        for role in sorted(roles.keys() & SOLE):
            await _be_sole(role, platform, stack)
        host = await stack.enter_async_context(
            hosting_behind_envoy(platform, roles, listen=listen, absent=rows_of(roles), **await secured(platform, stack))
        )
        address = settings.advertise or _bound(listen, host)
        registration = Registration(
            platform.membership,
            roles=roles,
            address=address,
            facts={"host": settings.host_name, "pid": str(os.getpid()), "release": RELEASE},
            options=settings,
            clock=platform.clock,
        )
        staying = asyncio.create_task(registration.run(), name="registration")
        stack.push_async_callback(_leave, registration, staying)
        host.watch("mesh", Task(name="registration", run=registration.run), staying)
        await registration.registered()
        page = telemetry.current().metrics_address
        told = [*host.told, f"metrics  http://{page}/metrics"] if page else host.told
        yield Served(host=host, registration=registration, address=address, told=told)


def chosen(names: Sequence[str]) -> Mapping[str, Assemble]:
    """The roles of these names.

    Raises:
        InvalidArgument: ROLE_UNKNOWN.
    """
    for name in names or [""]:
        if name not in KNOWN:
            remedy = f"choose of {', '.join(sorted(KNOWN))}"
            raise InvalidArgument("ROLE_UNKNOWN", f"there is no role {name!r}", field="role", remedy=remedy)
    return {name: KNOWN[name] for name in dict.fromkeys(names)}


async def _be_sole(role: str, platform: Platform, stack: AsyncExitStack) -> None:
    """Have the one place of `role`, and lose the process if another takes it."""
    holder = f"{platform.config.mesh.host_name}/{os.getpid()}"
    sole = await stack.enter_async_context(
        sole_place(role, platform.locks, holder=holder, options=platform.config.mesh, clock=platform.clock)
    )
    platform.background.append(Task(name=f"place of the one {role}", run=sole.run))


async def _leave(registration: Registration, staying: asyncio.Task[None]) -> None:
    if not staying.done():
        await registration.leave(within=_LEAVE_S)
    staying.cancel()
    await asyncio.gather(staying, return_exceptions=True)


def _check_listen(config: Config) -> None:
    """Refuse what nobody should listen on, or nobody could call, before anything is opened.

    Raises:
        InvalidArgument: SERVICES_EXPOSED; MESH_OPTION_INVALID.
        FailedPrecondition: PORT_IN_USE, PORT_REFUSED.
    """
    listen, advertise = config.mesh.listen, config.mesh.advertise
    if not listen or listen.startswith("unix:"):
        return
    host, _, port = listen.rpartition(":")
    check_services_bind(config.security, host)
    if host in _WILDCARDS and not advertise:
        raise InvalidArgument(
            "MESH_OPTION_INVALID",
            f"others cannot call {listen}",
            field="mesh.advertise",
            remedy="say under which HOST:PORT they reach this process",
        )
    free_port(host.strip("[]"), int(port))


def _bound(listen: str, host: Host) -> str:
    """The address with the port that was taken."""
    return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{host.ports[0]}"


def _on_signal(do: Callable[[], object]) -> None:
    """Have SIGINT and SIGTERM `do` from now on."""
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, do)
