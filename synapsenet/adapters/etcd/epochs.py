"""The epoch of etcd's store, and the numbers made of it and a revision: they grow even if a restore sets revisions back.

An epoch belongs to a connection. Whoever connects, again or for the first time, may find an etcd that was restored from a
snapshot meanwhile, and nothing in etcd can tell it. So it takes a new epoch, higher than all before, from a counter that is
kept elsewhere, and writes it into etcd. Every acquisition compares in its own transaction that etcd's epoch is the one it goes
by: all others take over the higher one with their next acquisition, and one that is from before the restore is found out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

from aetcd import rpc

from synapsenet.adapters.etcd.channel import EtcdChannel
from synapsenet.adapters.etcd.requests import found, get, has_value, is_above, put, transaction
from synapsenet.errors import ResourceExhausted, Unavailable

# A positive int64: 23 bits of epoch, 40 of revision. A connection a minute takes 16 years to use the epochs up, a thousand
# writes a second take 34 years to use up the revisions.
_REVISION_BITS = 40
_EPOCH_BITS = 23
_PATIENCE = 5


class Epochs(Protocol):
    """Counters outside of etcd, which a restore of etcd does not set back."""

    async def raised(self, name: str, *, above: int) -> int:
        """A number higher than all before for `name`, and than `above`, should the counter itself have been set back."""
        ...


@dataclass(frozen=True, slots=True)
class Epoch:
    """The epoch that one connection goes by."""

    number: int
    generation: int

    @property
    def written(self) -> bytes:
        """As the value of etcd's key: bytes that are ordered as the numbers are."""
        return b"%016x" % self.number

    def stamped(self, revision: int) -> int:
        """`revision` within this epoch, as one number of 63 bits that orders by epoch first.

        Raises:
            ResourceExhausted: ETCD_REVISIONS_USED_UP.
        """
        if revision >> _REVISION_BITS or self.number >> _EPOCH_BITS:
            remedy = "start a new etcd cluster, or a new etcd.prefix, and raise the epoch's counter"
            raise ResourceExhausted("ETCD_REVISIONS_USED_UP", "etcd's revisions exceed what a token holds", remedy=remedy)
        return self.number << _REVISION_BITS | revision


class StoreEpoch:
    """The epoch of the store that one channel leads to."""

    def __init__(self, channel: EtcdChannel, counters: Epochs) -> None:
        self._channel = channel
        self._counters = counters
        self._name = f"etcd{channel.options.prefix}"
        self._key = f"{channel.options.prefix}epoch".encode()
        self._known: Epoch | None = None
        self._one_at_a_time = asyncio.Lock()

    async def current(self) -> Epoch:
        """The epoch to go by over the present connection.

        Raises:
            SynapseError: etcd or the counter is away.
        """
        for _ in range(_PATIENCE):
            generation = await self._channel.attended()
            if (known := self._known) is not None and known.generation == generation:
                return known
            async with self._one_at_a_time:
                if self._known is None or self._known.generation != self._channel.generation:
                    await self._raise(await self._channel.attended())
        raise Unavailable("ETCD_UNAVAILABLE", "the connection to etcd breaks again and again", remedy="retry")

    def holds(self, epoch: Epoch) -> bool:
        """Whether the connection is still the one of `epoch`: what was compared with it was compared in its store."""
        return self._channel.generation == epoch.generation

    def compared(self, epoch: Epoch) -> Any:
        """The comparison that a transaction makes to be sure that it is in `epoch`."""
        return has_value(self._key, epoch.written)

    async def refresh(self) -> None:
        """Take over the store's epoch after a comparison failed: somebody has raised it."""
        async with self._one_at_a_time:
            if (known := self._known) is None:
                return
            stored = await self._stored()
            if stored > known.number:
                self._known = Epoch(stored, known.generation)
            elif stored < known.number:
                self._known = None  # set back, or deleted by hand

    async def _raise(self, generation: int) -> None:
        """Publish a new epoch, or take over a higher one that somebody published at the same time."""
        raised = Epoch(await self._counters.raised(self._name, above=await self._stored()), generation)
        publish = transaction(
            when=[is_above(self._key, raised.written)], then=[get(self._key)], otherwise=[put(self._key, raised.written)]
        )
        reply = await self._channel.call(lambda member: member.kv.Txn, publish)
        higher = found(reply, 0) if reply.succeeded else None
        self._known = raised if higher is None else Epoch(int(higher.value, 16), generation)

    async def _stored(self) -> int:
        """What etcd's key says, or 0."""
        reply = await self._channel.call(lambda member: member.kv.Range, rpc.RangeRequest(key=self._key))
        return int(reply.kvs[0].value, 16) if reply.kvs else 0
