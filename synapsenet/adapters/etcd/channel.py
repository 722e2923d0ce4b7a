"""Calls to etcd through whichever of its members answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
from aetcd import rpc

from synapsenet.adapters.etcd.failures import is_away, is_stale_token, translated
from synapsenet.adapters.etcd.member import EOF, Interceptors, Member, Metadata, Vigil, refusal
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.clock import Clock
from synapsenet.errors import Cancelled, FailedPrecondition, PermissionDenied

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5
_TOKENS = 2  # that one call may ask for
_LED = ("hasleader", "true")  # a member that lost its leader ends the stream instead of keeping it silently

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Answered(Generic[T]):
    """What an attempt brought."""

    answer: T


class EtcdChannel:
    """One connection at a time, to one member; the next member when it fails.

    Every request that the platform makes may be sent again after a failure that left its outcome open, because each is made so
    that its second execution changes nothing: keys are put under names used once, leases expire if nobody knows their id.
    """

    def __init__(self, options: EtcdOptions, *, clock: Clock, interceptors: Interceptors = ()) -> None:
        self.options = options
        self._clock = clock
        self._members = [Member(endpoint, options, interceptors) for endpoint in options.endpoints]
        self._index = os.getpid() % len(self._members)  # processes share the members out among them
        self._token: str | None = None
        self._entrance = asyncio.Lock()
        self._vigil: Vigil | None = None
        self._changed = asyncio.Event()
        self._read = rpc.RangeRequest(key=f"{options.prefix}vigil".encode(), count_only=True)
        self._is_closed = False
        self.generation = 0

    @property
    def member(self) -> Member:
        """Whom calls go to now."""
        return self._members[self._index]

    async def call(self, method: Callable[[Member], Any], request: Any, *, seconds: float | None = None) -> Any:
        """The answer to a unary `request`, from whichever member gives it within `seconds`, by default the options' `call_s`.

        Raises:
            Unavailable: ETCD_UNAVAILABLE, no member answered in time, or there is no quorum.
            Unauthenticated: ETCD_USER_MISSING or ETCD_PASSWORD_WRONG.
            PermissionDenied: ETCD_PERMISSION_MISSING.
            ResourceExhausted: ETCD_FULL.
            LeaseGone: the request needs a lease that is no more.
        """

        def attempt(member: Member, timeout: float, metadata: Metadata) -> Awaitable[Any]:
            return method(member)(request, timeout=timeout, metadata=metadata)  # type: ignore[no-any-return] # a stub's call

        return await self._attempts(attempt, seconds)

    async def keep_alive(self, lease: int, *, seconds: float) -> bool:
        """Renew `lease`; whether etcd still knows it. Raises: as `call`.

        A leader renews leases without asking the others, even one that a part of the network does not follow any more. That it
        leads is shown by a read by quorum in the same term, after the renewal.
        """

        async def attempt(member: Member, timeout: float, metadata: Metadata) -> bool:
            stream = member.lease.LeaseKeepAlive(timeout=timeout, metadata=metadata)
            try:
                await stream.write(rpc.LeaseKeepAliveRequest(ID=lease))
                reply = await stream.read()
                if reply is EOF:
                    raise refusal(grpc.StatusCode.UNAVAILABLE, "no answer")
                read = await member.kv.Range(self._read, timeout=timeout, metadata=metadata)
                if read.header.raft_term != reply.header.raft_term:
                    raise refusal(grpc.StatusCode.UNAVAILABLE, "leader changed")
                return bool(reply.TTL > 0)
            finally:
                stream.cancel()

        return await self._attempts(attempt, seconds)

    async def watch(self, create: Any) -> AsyncGenerator[Any, None]:
        """The answers to a WatchCreateRequest, until the stream ends for whatever reason; then look at everything anew.

        Raises:
            As `call`, if no member takes the watch.
        """

        async def attempt(member: Member, timeout: float, metadata: Metadata) -> tuple[Member, Any, Any]:
            stream = member.watch.Watch(metadata=[*metadata, _LED])
            try:
                async with asyncio.timeout(timeout):
                    await stream.write(rpc.WatchRequest(create_request=create))
                    created = await stream.read()
                if created is EOF:
                    raise refusal(grpc.StatusCode.UNAVAILABLE, "no answer")
            except BaseException:
                stream.cancel()
                raise
            return member, stream, created

        member, stream, answer = await self._attempts(attempt, None)
        try:
            with member.streaming(stream):
                while answer is not EOF and not answer.canceled:
                    yield answer
                    answer = await stream.read()
            if answer is not EOF and "permission denied" in answer.cancel_reason:
                remedy = "grant its role read on the keys below etcd.prefix"
                raise PermissionDenied("ETCD_PERMISSION_MISSING", "etcd does not let this user watch a key", remedy=remedy)
        except grpc.aio.AioRpcError:
            return
        except asyncio.CancelledError:
            if _is_task_cancelled():
                raise

    async def attended(self) -> int:
        """The connection's number, once it is sure that a break of the connection raises `generation`. Raises: as `call`."""
        if self._vigil is None:
            async with self._entrance:
                if self._vigil is None:
                    await self._attempts(self._attend, None)
        return self.generation

    async def changed(self, generation: int) -> None:
        """Return when the connection is another one than that of `generation`."""
        while self.generation == generation:
            await self._changed.wait()

    async def close(self) -> None:
        self._is_closed = True
        if self._vigil is not None:
            await self._vigil.end()
        for member in self._members:
            await member.close()

    async def _attend(self, member: Member, timeout: float, metadata: Metadata) -> None:
        vigil = Vigil(member, lambda: self._broke(vigil))
        await vigil.begin(f"{self.options.prefix}vigil".encode(), metadata=metadata, seconds=timeout)
        self._vigil = vigil

    def _broke(self, vigil: Vigil) -> None:
        if self._vigil is vigil:
            self._vigil = None
            self._renumber()

    def _renumber(self) -> None:
        self.generation += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def _attempts(self, attempt: Callable[[Member, float, Metadata], Awaitable[T]], seconds: float | None) -> T:
        """`attempt` with one member after the other until one answers or the time is over."""
        until = self._clock.monotonic() + (self.options.call_s if seconds is None else seconds)
        pause, tried, tokens = _FIRST_PAUSE_S, 0, 0
        while True:
            member = self.member
            timeout = max(0.001, min(self.options.attempt_s, until - self._clock.monotonic()))
            outcome = await self._tried(attempt, member, timeout)
            if isinstance(outcome, _Answered):
                return outcome.answer
            failure = outcome
            if is_stale_token(failure) and self.options.user and tokens < _TOKENS:
                self._token, tokens = None, tokens + 1
                continue
            if not is_away(failure):
                raise translated(failure, endpoint=member.endpoint) from failure
            await self._leave(member)
            tried += 1
            if self._clock.monotonic() + pause >= until:
                raise translated(failure, endpoint=member.endpoint) from failure
            if tried % len(self._members) == 0:
                await self._clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _tried(
        self, attempt: Callable[[Member, float, Metadata], Awaitable[T]], member: Member, timeout: float
    ) -> grpc.aio.AioRpcError | _Answered[T]:
        """What one attempt brought, or how it failed."""
        if self._is_closed:
            raise Cancelled("ETCD_CLOSED", "the session with etcd has ended")
        try:
            return _Answered(await attempt(member, timeout, await self._metadata(member, timeout)))
        except (TimeoutError, asyncio.InvalidStateError, grpc.aio.UsageError):
            pass  # the latter two from a stream that had ended, or a channel that was closed, before it was used
        except asyncio.CancelledError:
            if _is_task_cancelled():
                raise
        except grpc.aio.AioRpcError as error:
            return error
        return refusal(grpc.StatusCode.UNAVAILABLE, "no answer")

    async def _leave(self, member: Member) -> None:
        """Go on to the next member, unless another call has done so already."""
        await member.refresh()
        if self.member is not member:
            return
        self._index = (self._index + 1) % len(self._members)
        vigil, self._vigil = self._vigil, None
        self._renumber()
        if vigil is not None:
            await vigil.end()

    async def _metadata(self, member: Member, timeout: float) -> Metadata:
        """The token of our user, asked for if there is none yet."""
        if not self.options.user:
            return ()
        if self._token is None:
            request = rpc.AuthenticateRequest(name=self.options.user, password=self._password())
            try:
                self._token = (await member.auth.Authenticate(request, timeout=timeout)).token
            except grpc.aio.AioRpcError as error:
                if "authentication is not enabled" not in (error.details() or ""):
                    raise
                self._token = ""
        return (("token", self._token),) if self._token else ()

    def _password(self) -> str:
        """Read each time, so that a changed one is taken without a restart."""
        assert self.options.password_file is not None
        try:
            return self.options.password_file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except OSError as error:
            raise FailedPrecondition(
                "ETCD_CREDENTIALS_UNREADABLE",
                f"etcd.password_file cannot be read ({error.strerror})",
                remedy="check its path and that this user may read it",
                secret=str(self.options.password_file),
            ) from error


def _is_task_cancelled() -> bool:
    """Whether our own task is cancelled; else it is the call, because its channel was closed under it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
