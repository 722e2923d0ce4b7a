"""One member of etcd as a client sees it: its gRPC channel, its stubs, and whether the connection broke since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from aetcd import rpc

from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.errors import FailedPrecondition

_FIRST_RECONNECT_MS, _LONGEST_RECONNECT_MS = 100, 1_000
_PONG_S = 3.0
_LARGEST_ANSWER = 64 << 20
EOF = grpc.aio.EOF  # type: ignore[attr-defined] # its stubs do not know it

Interceptors = Sequence[grpc.aio.ClientInterceptor]
Metadata = Sequence[tuple[str, str]]


class Member:
    """The channel to one endpoint, opened anew when the certificate files have changed.

    A channel an endpoint, instead of one over all: TLS checks each member's own name, and a member that hangs is left by us
    within `attempt_s`, while gRPC's round robin would go on to send it every n-th call.
    """

    def __init__(self, endpoint: str, options: EtcdOptions, interceptors: Interceptors) -> None:
        self.endpoint = endpoint
        self._options = options
        self._interceptors = interceptors
        self._files = _signature(options)
        self._streams: set[Any] = set()
        self._open()

    def _open(self) -> None:
        # A stream belongs to no trace, and gRPC's intercepted streams swallow the cancellation of who writes to them.
        unary = [one for one in self._interceptors if isinstance(one, grpc.aio.UnaryUnaryClientInterceptor)]
        self.channel = _channel(self.endpoint, self._options, unary)
        self.kv = rpc.KVStub(self.channel)
        self.lease = rpc.LeaseStub(self.channel)
        self.watch = rpc.WatchStub(self.channel)
        self.auth = rpc.AuthStub(self.channel)
        self.maintenance = rpc.MaintenanceStub(self.channel)

    async def refresh(self) -> None:
        """Take changed certificate files; called when a call failed, since a standing connection needs no other ones."""
        files = _signature(self._options)
        if files != self._files:
            former, self._files = self.channel, files
            self._open()
            await self._end(former)

    @contextmanager
    def streaming(self, stream: Any) -> Iterator[None]:
        """`stream` inside a `with`: it ends with it, and at the latest when its channel is closed, which gRPC leaves to us."""
        self._streams.add(stream)
        try:
            yield
        finally:
            self._streams.discard(stream)
            stream.cancel()

    async def close(self) -> None:
        await self._end(self.channel)

    async def _end(self, channel: grpc.aio.Channel) -> None:
        for stream in tuple(self._streams):
            stream.cancel()
        await channel.close(None)


class Vigil:
    """A watch that nothing ever answers: it ends when the connection to its member does, or the member itself.

    Only a stream shows that: gRPC connects again silently, and to whom it connects may be an etcd that was restored meanwhile.
    """

    def __init__(self, member: Member, broken: Callable[[], None]) -> None:
        self.member = member
        self._broken = broken
        self._call: Any = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self, key: bytes, *, metadata: Metadata, seconds: float) -> None:
        """Return once the member watches; from then on a break is noticed.

        Raises:
            grpc.aio.AioRpcError: the member does not.
        """
        self._call = self.member.watch.Watch(metadata=metadata)
        try:
            async with asyncio.timeout(seconds):
                await self._call.write(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=key)))
                created = await self._call.read()
        except BaseException:
            self._call.cancel()
            raise
        if created is not EOF and created.canceled:
            self._call.cancel()
            raise refusal(grpc.StatusCode.PERMISSION_DENIED, created.cancel_reason)
        self._task = asyncio.create_task(self._last(), name=f"vigil {self.member.endpoint}")

    async def _last(self) -> None:
        try:
            while await self._call.read() is not EOF:
                pass
        except (grpc.aio.AioRpcError, grpc.aio.UsageError):
            pass  # how it ended does not matter
        self._broken()

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._call is not None:
            self._call.cancel()


def refusal(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    """What a member should have answered by a status and told in another way, or not at all."""
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, nothing, nothing, details, "")


def _channel(endpoint: str, options: EtcdOptions, interceptors: Interceptors) -> grpc.aio.Channel:
    settings = [
        ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
        ("grpc.min_reconnect_backoff_ms", _LONGEST_RECONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _LONGEST_RECONNECT_MS),
        ("grpc.keepalive_time_ms", round(options.ping_s * 1e3)),
        ("grpc.keepalive_timeout_ms", round(_PONG_S * 1e3)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", _LARGEST_ANSWER),
        ("grpc.enable_http_proxy", 0),
    ]
    if options.ca_file is None:
        return grpc.aio.insecure_channel(endpoint, settings, interceptors=list(interceptors))
    credentials = grpc.ssl_channel_credentials(
        _read("ca_file", options.ca_file),
        _read("key_file", options.key_file) if options.key_file else None,
        _read("certificate_file", options.certificate_file) if options.certificate_file else None,
    )
    return grpc.aio.secure_channel(endpoint, credentials, settings, interceptors=list(interceptors))


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FailedPrecondition(
            "ETCD_CREDENTIALS_UNREADABLE",
            f"etcd.{name} cannot be read ({error.strerror})",
            remedy="check its path and that this user may read it",
            secret=str(path),
        ) from error


def _signature(options: EtcdOptions) -> Sequence[tuple[int, int]]:
    """What changes when a certificate file is replaced."""
    paths = (options.ca_file, options.certificate_file, options.key_file)
    try:
        states = [path.stat() for path in paths if path is not None]
    except OSError:
        return ()  # replaced at this moment, or gone: reading it says so
    return [(state.st_mtime_ns, state.st_ino) for state in states]
