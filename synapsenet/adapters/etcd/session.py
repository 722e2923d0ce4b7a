"""What keeps this process's keys in etcd alive: the session's lease, and one for each shorter ttl that was asked for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from aetcd import rpc

from synapsenet.adapters.etcd.channel import EtcdChannel
from synapsenet.adapters.etcd.epochs import Epochs, StoreEpoch
from synapsenet.adapters.etcd.failures import LeaseGone
from synapsenet.adapters.etcd.member import Interceptors
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.requests import delete, transaction
from synapsenet.clock import Clock
from synapsenet.errors import SynapseError, Unavailable
from synapsenet.platform.lease import Lease, kept

_IDLE_LEASES = 8
_FAREWELL_S = 2.0
_LEASES = 3  # that one key uses up before it is given up

T = TypeVar("T")


class Guarded:
    """A key of ours: lost when its lease is, or when the key is gone from etcd though we did not delete it."""

    def __init__(self, key: bytes, lease: SessionLease) -> None:
        self.key = key
        self.lease = lease
        self.is_settled = False
        self._lost = asyncio.Event()

    def settled(self) -> None:
        """From now on the key is there, until it is lost or left."""
        self.is_settled = True

    def check(self) -> None:
        """Raises: Aborted: LOCK_LOST."""
        self.lease.check()
        if self._lost.is_set():
            raise LeaseGone

    async def lost(self) -> None:
        await self._lost.wait()

    def lose(self) -> None:
        self._lost.set()


class SessionLease:
    """One lease at etcd, kept alive, and the keys that hang on it.

    With each renewal, and whenever the connection has become another one, it compares the keys at etcd with those it knows. One
    that should be there and is not was lost: an operator deleted it, another took it over, or etcd was restored. One that
    nobody here knows any more is what a request left behind that was given up before its answer came, and is deleted.
    """

    def __init__(self, number: int, channel: EtcdChannel, clock: Clock, *, ttl: float, asked_at: float) -> None:
        self.number = number
        self.ttl = ttl
        self._channel = channel
        self._clock = clock
        self._lease = Lease(f"lease {number:x}", clock=clock, ttl=ttl, granted_at=asked_at)
        self._guarded: dict[bytes, Guarded] = {}
        self._names = 0
        self._renewed = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._keep(), name=f"etcd lease {number:x}"),
            asyncio.create_task(self._compare_always(), name=f"etcd keys of lease {number:x}"),
        ]

    @property
    def is_idle(self) -> bool:
        return not self._guarded

    @property
    def is_lost(self) -> bool:
        return self._lease.is_lost

    def check(self) -> None:
        """Raises: Aborted: LOCK_LOST."""
        if self._lease.is_lost:
            raise LeaseGone

    def guard(self, prefix: bytes) -> Guarded:
        """A key below `prefix` that nobody has used or will use; about to be put by the caller, under this lease."""
        self._names += 1
        key = b"%s%016x-%d" % (prefix, self.number, self._names)
        self._guarded[key] = guarded = Guarded(key, self)
        if self.is_lost:
            guarded.lose()
        return guarded

    async def leave(self, guarded: Guarded) -> None:
        """Delete the key; if etcd is away, it goes with the next comparison or with the lease."""
        self._guarded.pop(guarded.key, None)
        with suppress(SynapseError):
            request = rpc.DeleteRangeRequest(key=guarded.key)
            await self._channel.call(lambda member: member.kv.DeleteRange, request, seconds=_FAREWELL_S)

    async def close(self) -> None:
        """Stop keeping it and, unless it was lost anyway, revoke it and with it its keys."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lose()
        if not self.is_lost:
            await self._revoke()

    async def _keep(self) -> None:
        async with kept(self._lease, self._renew):
            await self._lease.lost()
        self._lose()
        await self._revoke()  # whoever waits for its locks need not wait until etcd finds out

    async def _revoke(self) -> None:
        with suppress(SynapseError):
            request = rpc.LeaseRevokeRequest(ID=self.number)
            await self._channel.call(lambda member: member.lease.LeaseRevoke, request, seconds=_FAREWELL_S)

    def _lose(self) -> None:
        for guarded in self._guarded.values():
            guarded.lose()

    async def _renew(self) -> bool:
        known = await self._channel.keep_alive(self.number, seconds=self.ttl)
        self._renewed.set()
        return known

    async def _compare_always(self) -> None:
        compared = self._channel.generation
        while not self.is_lost:
            changed = self._channel.changed(compared)
            waiting = [asyncio.ensure_future(self._renewed.wait()), asyncio.ensure_future(changed)]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for future in waiting:
                    future.cancel()
            self._renewed.clear()
            compared = self._channel.generation
            with suppress(SynapseError):  # the next renewal compares again
                await self._compare()

    async def _compare(self) -> None:
        expected = [guarded for guarded in self._guarded.values() if guarded.is_settled]
        request = rpc.LeaseTimeToLiveRequest(ID=self.number, keys=True)
        present = set((await self._channel.call(lambda member: member.lease.LeaseTimeToLive, request)).keys)
        for key in present - set(self._guarded):
            await self._channel.call(lambda member: member.kv.Txn, transaction(when=(), then=[delete(key)]))
        for guarded in expected:
            if guarded.key not in present and self._guarded.get(guarded.key) is guarded:
                await self._confirm(guarded)

    async def _confirm(self, guarded: Guarded) -> None:
        """A lease's keys are told by the leader as it knows them; a read by quorum is sure."""
        reply = await self._channel.call(lambda member: member.kv.Range, rpc.RangeRequest(key=guarded.key, keys_only=True))
        if not reply.kvs:
            guarded.lose()


class EtcdSession:
    """This process towards etcd: its channel, the store's epoch, its leases."""

    def __init__(self, channel: EtcdChannel, epoch: StoreEpoch, clock: Clock) -> None:
        self.channel = channel
        self.epoch = epoch
        self.clock = clock
        self._leases: dict[float, SessionLease] = {}
        self._granting = asyncio.Lock()

    @property
    def prefix(self) -> str:
        """Of all keys."""
        return self.channel.options.prefix

    @property
    def is_alive(self) -> bool:
        """Whether the process's own lease surely holds, by the local clock."""
        lease = self._leases.get(self.channel.options.session_ttl_s)
        return lease is not None and not lease.is_lost

    async def lease(self, ttl: float) -> SessionLease:
        """The session's lease or, for a shorter `ttl`, one of its own, which all share who ask for the same.

        One that was lost is followed by a new one; whatever hung on the former stays lost.

        Raises:
            SynapseError: etcd is away or refuses.
        """
        ttl = min(ttl, self.channel.options.session_ttl_s)
        lease = self._leases.get(ttl)
        if lease is not None and not lease.is_lost:
            return lease
        async with self._granting:
            lease = self._leases.get(ttl)
            if lease is None or lease.is_lost:
                await self._retire(ttl)
                lease = self._leases[ttl] = await self._grant(ttl)
            return lease

    async def placed(self, prefix: bytes, ttl: float, enter: Callable[[Guarded], Awaitable[T]]) -> tuple[T, Guarded]:
        """What `enter` made of a new key below `prefix`, and the key; no key stays behind a caller that fails or is cancelled.

        If the lease is lost meanwhile, it begins anew with another one.

        Raises:
            Unavailable: ETCD_UNAVAILABLE, also if one lease after the other is lost.
        """
        for _ in range(_LEASES):
            lease = await self.lease(ttl)
            guarded = lease.guard(prefix)
            try:
                made = await enter(guarded)
                guarded.settled()
                guarded.check()
                return made, guarded
            except LeaseGone:
                await asyncio.shield(lease.leave(guarded))
            except BaseException:
                await asyncio.shield(lease.leave(guarded))
                raise
        raise Unavailable("ETCD_UNAVAILABLE", "leases with etcd are lost again and again", remedy="retry")

    async def close(self) -> None:
        await asyncio.gather(*(lease.close() for lease in self._leases.values()))

    async def _grant(self, ttl: float) -> SessionLease:
        asked_at = self.clock.monotonic()
        reply = await self.channel.call(lambda member: member.lease.LeaseGrant, rpc.LeaseGrantRequest(TTL=math.ceil(ttl)))
        return SessionLease(reply.ID, self.channel, self.clock, ttl=min(ttl, reply.TTL), asked_at=asked_at)

    async def _retire(self, ttl: float) -> None:
        """Close the lost lease of this ttl and, if there are many, other short ones that nothing hangs on any more."""
        needed = (ttl, self.channel.options.session_ttl_s)
        idle = [other for other, lease in self._leases.items() if lease.is_idle and other not in needed]
        for other in (ttl, *idle[:-_IDLE_LEASES]):
            if (lease := self._leases.pop(other, None)) is not None:
                await lease.close()


@asynccontextmanager
async def open_session(
    options: EtcdOptions, *, clock: Clock, epochs: Epochs, interceptors: Interceptors = ()
) -> AsyncIterator[EtcdSession]:
    """A session with its lease granted; at the end the lease is revoked, and what hung on it is free at once.

    Args:
        epochs: counters that a restore of etcd does not set back.
        interceptors: of every call to etcd, e.g. for traces.

    Raises:
        Unavailable: ETCD_UNAVAILABLE.
        Unauthenticated, PermissionDenied: etcd refuses us, or asks for a user that is not configured.
        FailedPrecondition: ETCD_CREDENTIALS_UNREADABLE.
        SynapseError: what `epochs` raises.
    """
    channel = EtcdChannel(options, clock=clock, interceptors=interceptors)
    session = EtcdSession(channel, StoreEpoch(channel, epochs), clock)
    try:
        await session.lease(options.session_ttl_s)
        await session.epoch.current()  # who may have a lease may still lack the right to its keys
        yield session
    finally:
        await asyncio.shield(_end(session, channel))


async def _end(session: EtcdSession, channel: EtcdChannel) -> None:
    await session.close()
    await channel.close()
