"""The registry of instances as keys below their group, each on its process's lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from aetcd import rpc

from synapsenet.adapters.etcd.failures import LeaseGone
from synapsenet.adapters.etcd.requests import after, delete, end_of, everything_below, found, get, is_absent, put, transaction
from synapsenet.adapters.etcd.session import EtcdSession, Guarded
from synapsenet.errors import Unavailable
from synapsenet.platform.membership import Instance, Joined, Membership
from synapsenet.platform.records import decode, encode

_PAUSE_S = 0.2


class EtcdJoined(Joined):
    """A key while this process keeps it alive."""

    def __init__(self, instance: Instance, guarded: Guarded) -> None:
        self.instance = instance
        self._guarded = guarded

    def check(self) -> None:
        self._guarded.check()

    async def lost(self) -> None:
        await self._guarded.lost()


class EtcdMembership(Membership):
    """The registry of all processes that share an etcd.

    Each join puts a key of its own and deletes those of the same id in the same transaction, so a former holder misses its
    key. An incarnation is the epoch and the revision that created the key. Who is there can be read without a quorum, too: it
    is then what one member knew last.
    """

    def __init__(self, session: EtcdSession) -> None:
        self._session = session
        self._channel = session.channel
        self._epoch = session.epoch
        self._clock = session.clock

    def join(self, instance: Instance, *, ttl: float) -> AbstractAsyncContextManager[Joined]:
        return self._join(instance, ttl)

    async def instances(self, group: str) -> Sequence[Instance]:
        return _instances((await self._listed(self._prefix(group))).kvs)

    async def watch(self, group: str) -> AsyncIterator[Sequence[Instance]]:
        """As the port says. After a cut connection, a compaction or a restore everything is read anew."""
        prefix = self._prefix(group)
        shown: Sequence[Instance] | None = None
        while True:
            try:
                listed = await self._listed(prefix)
            except Unavailable:
                if shown is None:
                    raise
                await self._clock.sleep(_PAUSE_S)
                continue
            async with aclosing(self._changes(prefix, listed)) as changes:
                async for present in changes:
                    if present != shown:
                        yield present
                        shown = present
            await self._clock.sleep(_PAUSE_S)

    @asynccontextmanager
    async def _join(self, instance: Instance, ttl: float) -> AsyncIterator[Joined]:
        prefix = self._prefix(instance.group) + f"{quote(instance.id, safe='')}/".encode()
        joined, guarded = await self._session.placed(prefix, ttl, lambda place: self._enter(place, prefix, instance))
        try:
            yield EtcdJoined(joined, guarded)
        finally:
            await asyncio.shield(guarded.lease.leave(guarded))

    async def _enter(self, place: Guarded, prefix: bytes, instance: Instance) -> Instance:
        """Put the key instead of all others of its id."""
        key = place.key
        while True:
            epoch = await self._epoch.current()
            value = encode(replace(instance, incarnation=epoch.stamped(0)))
            reply = await self._channel.call(
                lambda member: member.kv.Txn,
                transaction(
                    when=[self._epoch.compared(epoch), is_absent(key)],
                    then=[delete(prefix, key), delete(after(key), end_of(prefix)), put(key, value, lease=place.lease.number)],
                    otherwise=[get(key)],
                ),
            )
            mine = None if reply.succeeded else found(reply, 0)
            if reply.succeeded or mine is not None:
                if not self._epoch.holds(epoch) or (mine is not None and mine.value != value):
                    raise LeaseGone  # put over a connection that broke, perhaps to another store: begin with another key
                revision = reply.header.revision if mine is None else mine.create_revision
                return replace(instance, incarnation=epoch.stamped(int(revision)))
            await self._epoch.refresh()

    async def _changes(self, prefix: bytes, listed: Any) -> AsyncGenerator[Sequence[Instance], None]:
        """Who is there at first and after each change, as long as the watch goes on."""
        present = {value.key: value for value in listed.kvs}
        revision = int(listed.header.revision)
        yield _instances(present.values())
        request = rpc.WatchCreateRequest(key=prefix, range_end=end_of(prefix), start_revision=revision + 1)
        try:
            async with aclosing(self._channel.watch(request)) as answers:
                async for answer in answers:
                    if answer.header.revision < revision:
                        return  # a restored store
                    for event in answer.events:
                        if event.type == rpc.Event.PUT:
                            present[event.kv.key] = event.kv
                        else:
                            present.pop(event.kv.key, None)
                    yield _instances(present.values())
        except Unavailable:
            return  # who is there stays as it was until a member can tell

    async def _listed(self, prefix: bytes) -> Any:
        """All below `prefix`, by quorum, or what one member knows if there is none.

        Raises:
            Unavailable: ETCD_UNAVAILABLE, no member answers at all.
        """
        options = self._channel.options
        try:
            return await self._channel.call(lambda member: member.kv.Range, everything_below(prefix), seconds=options.attempt_s)
        except Unavailable:
            request = everything_below(prefix, serializable=True)
            return await self._channel.call(lambda member: member.kv.Range, request)

    def _prefix(self, group: str) -> bytes:
        return f"{self._session.prefix}members/{quote(group, safe='')}/".encode()


def _instances(values: Iterable[Any]) -> Sequence[Instance]:
    """By id; of two keys of one id, which a request that came late can leave for a moment, the newer counts."""
    newest: dict[str, Instance] = {}
    for value in values:
        stored = decode(Instance, value.value)
        instance = replace(stored, incarnation=stored.incarnation | value.create_revision)
        former = newest.get(instance.id)
        if former is None or former.incarnation < instance.incarnation:
            newest[instance.id] = instance
    return [newest[name] for name in sorted(newest)]
