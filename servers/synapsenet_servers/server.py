"""One gRPC server as the platform runs it: the guard, health, reflection and channelz around some services, and its drain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_channelz.v1 import channelz
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from synapsenet.errors import FailedPrecondition
from synapsenet_servers import telemetry
from synapsenet_servers.bootstrap.role import Service
from synapsenet_servers.interceptors.authorization import Authorization
from synapsenet_servers.interceptors.guard import Guard
from synapsenet_servers.not_yet_available.row import Row
from synapsenet_servers.reflection import V1ALPHA, add_reflection
from synapsenet_servers.server_options import ServerOptions

_HEALTH: Any = health  # the stubs of both leave their asyncio parts out
_CHANNELZ: Any = channelz
_CARRIED = ("grpc.health.v1.Health", "grpc.channelz.v1.Channelz")

# More than the edge takes (edge.header_kib), which says itself what is too large; the query of a GET stands in it twice.
_METADATA_BYTES = 256 << 10

# How long a watch goes on once its server stops: for the last events.
_LAST_EVENTS_S = 0.2

# What a call that outlasts the drain has for its last message and its status to be heard, also on a busy machine. It ends as
# soon as they are: only a caller that does not read makes the server wait so long.
_LAST_WORDS_S = 1.0

# How long nobody must have called before a server that was told to stop believes that nobody will, and how often it waits for
# that: the runtime takes no call any more once it stops, and cancels, without a word, those that it has and nobody was told of.
_QUIET_S = 0.02
_QUIET_TRIES = 50


class _EndedCalls(logging.Filter):
    """Drops what the runtime says when a servicer answers a call that the runtime has already ended: nobody is left to hear."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and 'Failed "execute_batch"' in str(record.exc_info[1]))


_ENDED_CALLS = _EndedCalls()


class Server:
    """A server that has been built and bound and not yet started.

    Args:
        services: what it offers beside health, reflection and channelz.
        addresses: `host:port` or `unix:path`; port 0 takes a free one.
        absent: what answers NOT_YET_AVAILABLE.
        credentials: TLS, for a server of one address; None: plain text.
        authorization: decides who may call; None: everybody who can connect.
        vouched: services of other processes that this one's reflection describes, and whose health it tells as `say` is told.

    Raises:
        FailedPrecondition: PORT_IN_USE, naming the address.
    """

    def __init__(
        self,
        services: Sequence[Service],
        addresses: Sequence[str],
        *,
        options: ServerOptions,
        absent: Iterable[Row] = (),
        credentials: grpc.ServerCredentials | None = None,
        authorization: Authorization | None = None,
        vouched: Sequence[str] = (),
    ) -> None:
        logging.getLogger("grpc._cython.cygrpc").addFilter(_ENDED_CALLS)
        self._drain_s = options.drain_s
        self._guard = Guard(options.limits, absent, authorization)
        if credentials is not None and len(addresses) != 1:
            raise ValueError("credentials serve one address")
        self._credentials = credentials
        self._hurrying: asyncio.Future[None] | None = None
        self._names = [service.name for service in services]
        self._server = grpc.aio.server(
            # Outermost is what tells of calls, so that it sees the status that the guard makes of every error.
            interceptors=[*telemetry.current().server_interceptors([*self._names, *_CARRIED, V1ALPHA]), self._guard],
            options=[*channel_arguments(options), *(_age(options) if credentials is not None else ())],
            maximum_concurrent_rpcs=None,
        )
        self._health = _HEALTH.aio.HealthServicer()
        for service in services:
            service.add(service.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        _CHANNELZ.add_channelz_servicer(self._server)
        add_reflection(self._server, [*self._names, *vouched, *_CARRIED])
        self.ports = tuple(self._bind(address) for address in addresses)

    def _bind(self, address: str) -> int:
        try:
            if self._credentials is not None:
                return self._server.add_secure_port(address, self._credentials)
            return self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise FailedPrecondition(
                "PORT_IN_USE",
                f"{address} is in use or cannot be bound",
                remedy="stop what listens there, or choose another port",
                secret=str(error),
            ) from error

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve inside an `async with`; at its end say NOT_SERVING, end the watches and let the other calls end."""
        await self._server.start()
        for name in self._names:
            await self.say(name, True)
        try:
            yield
        finally:
            await self._health.enter_graceful_shutdown()
            self._guard.end_calls(watches_in_s=min(_LAST_EVENTS_S, self._drain_s), others_in_s=self._drain_s)
            await self._quiet()
            await self._server.stop(self._drain_s + _LAST_WORDS_S)

    async def _quiet(self) -> None:
        """Wait, not for ever, until those that still call have been told that the server stops."""
        for _ in range(_QUIET_TRIES):
            told = self._guard.late
            await asyncio.sleep(_QUIET_S)
            if self._guard.late == told:
                return

    async def say(self, service: str, serving: bool) -> None:
        """Let health checks of `service` be answered so."""
        status = health_pb2.HealthCheckResponse
        await self._health.set(service, status.SERVING if serving else status.NOT_SERVING)

    async def retire(self) -> None:
        """Answer health checks with NOT_SERVING from now on, and all other calls as before."""
        await self._health.enter_graceful_shutdown()

    def hurry(self) -> None:
        """Stop without waiting for the calls under way."""
        self._drain_s = 0.0
        self._guard.end_calls(watches_in_s=0.0, others_in_s=0.0)
        self._hurrying = asyncio.ensure_future(self._server.stop(_LAST_WORDS_S))


def channel_arguments(options: ServerOptions) -> list[tuple[str, int]]:
    """What the runtime is told of every server."""
    return [
        ("grpc.so_reuseport", 0),  # else a busy port would be shared silently
        # The runtime has a whole message in memory before it compares sizes, and its refusal gives no reason: ours does.
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
        ("grpc.keepalive_time_ms", round(options.keepalive_s * 1_000)),
        ("grpc.keepalive_timeout_ms", 15_000),
        ("grpc.http2.min_ping_interval_without_data_ms", round(options.shortest_client_ping_s * 1_000)),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _age(options: ServerOptions) -> list[tuple[str, int]]:
    """A connection of age takes no more calls; those under way on it may take as long as they like."""
    return [("grpc.max_connection_age_ms", round(options.connection_age_s * 1_000))]
