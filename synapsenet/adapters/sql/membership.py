"""Instances as rows with a lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from synapsenet.adapters.sql.coordination import instances as table
from synapsenet.adapters.sql.database import Database
from synapsenet.clock import Clock
from synapsenet.platform.lease import Lease, kept
from synapsenet.platform.membership import Instance, Joined, Membership


class SqlJoined(Joined):
    """A row while this process keeps it alive."""

    def __init__(self, instance: Instance, lease: Lease) -> None:
        self.instance = instance
        self._lease = lease

    def check(self) -> None:
        self._lease.check()

    async def lost(self) -> None:
        await self._lease.lost()


class SqlMembership(Membership):
    """The registry inside the process that owns the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._changed = asyncio.Event()

    def join(self, instance: Instance, *, ttl: float) -> AbstractAsyncContextManager[Joined]:
        return self._join(instance, ttl)

    @asynccontextmanager
    async def _join(self, instance: Instance, ttl: float) -> AsyncIterator[Joined]:
        asked_at = self._clock.monotonic()
        joined = await self._database.write(lambda connection: self._enter(connection, instance, ttl))
        self._announce()
        lease = Lease(f"{joined.group}/{joined.id}", clock=self._clock, ttl=ttl, granted_at=asked_at)
        try:
            async with kept(lease, lambda: self._database.write(lambda connection: self._renew(connection, joined, ttl))):
                yield SqlJoined(joined, lease)
        finally:
            await asyncio.shield(
                self._database.write(lambda connection: _leave(connection, joined), committed=lambda _: self._announce())
            )

    async def instances(self, group: str) -> Sequence[Instance]:
        alive, _ = await self._database.read(lambda connection: self._alive(connection, group))
        return alive

    async def watch(self, group: str) -> AsyncIterator[Sequence[Instance]]:
        shown: Sequence[Instance] | None = None
        while True:
            changed = self._changed
            alive, next_expiry = await self._database.read(lambda connection: self._alive(connection, group))
            if alive != shown:
                yield alive
                shown = alive
            await self._change_or(changed, next_expiry)

    async def _change_or(self, changed: asyncio.Event, expiry: datetime | None) -> None:
        """Until something changed, or the first lease has run out."""
        waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(changed.wait())]
        if expiry is not None:
            waiting.append(asyncio.ensure_future(self._clock.sleep((expiry - self._clock.now()).total_seconds())))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waiting:
                future.cancel()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _enter(self, connection: Connection, instance: Instance, ttl: float) -> Instance:
        row = connection.execute(select(table.c.incarnation).where(_named(instance))).one_or_none()
        joined = replace(instance, incarnation=1 if row is None else row.incarnation + 1)
        values = {
            "incarnation": joined.incarnation,
            "address": joined.address,
            "zone": joined.zone,
            "metadata": dict(joined.metadata),
            "expires_at": self._clock.now() + timedelta(seconds=ttl),
        }
        if row is None:
            connection.execute(insert(table), {"group": joined.group, "id": joined.id, **values})
        else:
            connection.execute(update(table).where(_named(joined)).values(**values))
        return joined

    def _renew(self, connection: Connection, joined: Instance, ttl: float) -> bool:
        until = self._clock.now() + timedelta(seconds=ttl)
        current = _named(joined) & (table.c.incarnation == joined.incarnation) & table.c.expires_at.is_not(None)
        return connection.execute(update(table).where(current).values(expires_at=until)).rowcount == 1

    def _alive(self, connection: Connection, group: str) -> tuple[Sequence[Instance], datetime | None]:
        """The live instances by id, and when the first of them would run out."""
        rows = connection.execute(
            select(table).where((table.c.group == group) & (table.c.expires_at > self._clock.now())).order_by(table.c.id)
        ).all()
        return [_instance(row) for row in rows], min((row.expires_at for row in rows), default=None)


def _leave(connection: Connection, joined: Instance) -> None:
    mine = _named(joined) & (table.c.incarnation == joined.incarnation)
    connection.execute(update(table).where(mine).values(expires_at=None))


def _named(instance: Instance) -> Any:
    return (table.c.group == instance.group) & (table.c.id == instance.id)


def _instance(row: Row[Any]) -> Instance:
    return Instance(
        group=row.group,
        id=row.id,
        address=row.address,
        zone=row.zone,
        incarnation=row.incarnation,
        metadata=row.metadata,
    )
