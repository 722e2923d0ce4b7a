"""Locks as queues of keys: each who wants the lock puts a key of its own, and the oldest key holds it.

The store orders the keys by the revision that created them, so waiters are served in the order in which they came, and each
watches nobody but the one before it. A key hangs on its process's lease: it goes when the process is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aetcd import rpc

from synapsenet.adapters.etcd.epochs import Epoch
from synapsenet.adapters.etcd.failures import LeaseGone
from synapsenet.adapters.etcd.requests import (
    first_below,
    found,
    get,
    is_empty,
    last_before,
    put,
    transaction,
    was_created_at,
)
from synapsenet.adapters.etcd.session import EtcdSession, Guarded
from synapsenet.errors import Aborted
from synapsenet.platform.locks import Held, Locks

_PAUSE_S = 0.1


class EtcdHeld(Held):
    """The oldest key of a lock while this process has it."""

    def __init__(self, name: str, token: int, guarded: Guarded) -> None:
        self.name = name
        self.token = token
        self._guarded = guarded

    def check(self) -> None:
        self._guarded.check()

    async def lost(self) -> None:
        await self._guarded.lost()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Somebody's place in the queue for one lock."""

    name: str
    prefix: bytes
    guarded: Guarded
    holder: bytes
    until: float
    waits: bool


class EtcdLocks(Locks):
    """Mutual exclusion among all processes that share an etcd.

    A token is the epoch and the revision that created the key, so it grows from holder to holder, and over restores of etcd.
    """

    def __init__(self, session: EtcdSession) -> None:
        self._session = session
        self._channel = session.channel
        self._epoch = session.epoch
        self._clock = session.clock

    def hold(self, name: str, *, holder: str, ttl: float, wait: float) -> AbstractAsyncContextManager[Held]:
        return self._hold(name, holder, ttl, wait)

    @asynccontextmanager
    async def _hold(self, name: str, holder: str, ttl: float, wait: float) -> AsyncIterator[Held]:
        token, guarded = await self._acquire(name, holder, ttl, wait)
        try:
            yield EtcdHeld(name, token, guarded)
        finally:
            await asyncio.shield(guarded.lease.leave(guarded))

    async def _acquire(self, name: str, holder: str, ttl: float, wait: float) -> tuple[int, Guarded]:
        """The token, and the key that holds the lock."""
        until = self._clock.monotonic() + wait
        prefix = f"{self._session.prefix}locks/{quote(name, safe='')}/".encode()

        def placed(guarded: Guarded) -> Awaitable[int]:
            return self._enter(
                _Place(name=name, prefix=prefix, guarded=guarded, holder=holder.encode(), until=until, waits=wait > 0)
            )

        return await self._session.placed(prefix, ttl, placed)

    async def _enter(self, place: _Place) -> int:
        """Put the key; the token if the lock was free, or as soon as it is."""
        epoch = await self._epoch.current()
        key, lease = place.guarded.key, place.guarded.lease.number
        own = put(key, place.holder, lease=lease)
        queued = [own] if place.waits else []
        reply = await self._channel.call(
            lambda member: member.kv.Txn,
            transaction(
                when=[self._epoch.compared(epoch), is_empty(place.prefix)],
                then=[own],
                otherwise=[*queued, get(key), first_below(place.prefix)],
            ),
        )
        if reply.succeeded:
            return await self._certain(place, epoch, int(reply.header.revision))
        mine, first = found(reply, len(queued)), found(reply, len(queued) + 1)
        if mine is not None:
            return await self._my_turn(place, int(mine.create_revision))
        if first is None:  # it was the epoch that has changed
            await self._epoch.refresh()
            return await self._enter(place)
        raise _busy(place.name, first)

    async def _certain(self, place: _Place, epoch: Epoch, revision: int) -> int:
        """The token, unless the connection broke meanwhile: then what was compared may have been another store's."""
        if self._epoch.holds(epoch):
            return epoch.stamped(revision)
        return await self._my_turn(place, revision)

    async def _my_turn(self, place: _Place, revision: int) -> int:
        """Wait until nobody stands before the key that was created at `revision`; the token."""
        while True:
            epoch = await self._epoch.current()
            reply = await self._channel.call(lambda member: member.kv.Range, last_before(place.prefix, revision))
            if reply.kvs:
                await self._wait_for(place, reply.kvs[0].key, int(reply.header.revision))
                continue
            key = place.guarded.key
            claimed = await self._channel.call(
                lambda member: member.kv.Txn,
                transaction(
                    when=[self._epoch.compared(epoch), was_created_at(key, revision)],
                    otherwise=[get(key)],
                ),
            )
            if claimed.succeeded and self._epoch.holds(epoch):
                return epoch.stamped(revision)
            if not claimed.succeeded:
                mine = found(claimed, 0)
                if mine is None or mine.create_revision != revision:
                    raise LeaseGone
                await self._epoch.refresh()

    async def _wait_for(self, place: _Place, former: bytes, revision: int) -> None:
        """Until the key `former`, there at `revision`, is gone, or our lease is, or the patience.

        Raises:
            Aborted: LOCK_BUSY.
        """
        gone = asyncio.ensure_future(self._gone(former, revision))
        lost = asyncio.ensure_future(place.guarded.lost())
        ended = asyncio.ensure_future(self._clock.sleep(place.until - self._clock.monotonic()))
        try:
            await asyncio.wait((gone, lost, ended), return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return gone.result()
            if lost.done():
                raise LeaseGone
            raise await self._busy(place)
        finally:
            for future in (gone, lost, ended):
                future.cancel()
            await asyncio.gather(gone, lost, ended, return_exceptions=True)

    async def _gone(self, key: bytes, revision: int) -> None:
        """Return when `key` was deleted after `revision`, or when that cannot be seen any more: then look again."""
        request = rpc.WatchCreateRequest(key=key, start_revision=revision + 1, filters=[rpc.WatchCreateRequest.NOPUT])
        async with aclosing(self._channel.watch(request)) as answers:
            async for answer in answers:
                if answer.events or answer.header.revision < revision:  # what began anew has another history
                    return
        await self._clock.sleep(_PAUSE_S)

    async def _busy(self, place: _Place) -> Aborted:
        reply = await self._channel.call(lambda member: member.kv.Txn, transaction(when=(), then=[first_below(place.prefix)]))
        return _busy(place.name, found(reply, 0))


def _busy(name: str, first: Any | None) -> Aborted:
    holder = first.value.decode("utf-8", "replace") if first is not None else ""
    return Aborted(
        "LOCK_BUSY",
        f"{name} is locked by {holder or 'another waiter'}",
        remedy="wait for it to end, or try again",
        metadata={"holder": holder},
    )
