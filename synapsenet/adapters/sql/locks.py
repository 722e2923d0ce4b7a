"""Locks as rows with a lease and a fence counter."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

from sqlalchemy import Connection, insert, select, update

from synapsenet.adapters.sql.coordination import locks as table
from synapsenet.adapters.sql.database import Database
from synapsenet.clock import Clock
from synapsenet.errors import Aborted
from synapsenet.platform.lease import Lease, kept
from synapsenet.platform.locks import Held, Locks


class SqlHeld(Held):
    """A lock row while this process has it."""

    def __init__(self, name: str, token: int, lease: Lease) -> None:
        self.name = name
        self.token = token
        self._lease = lease

    def check(self) -> None:
        self._lease.check()

    async def lost(self) -> None:
        await self._lease.lost()


class SqlLocks(Locks):
    """Mutual exclusion among the tasks of the process that owns the database, by rows that outlive it.

    Waiters for a name stand in line; the first one tries again when the row is released or its lease runs out.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lines: defaultdict[str, deque[asyncio.Event]] = defaultdict(deque)

    def hold(self, name: str, *, holder: str, ttl: float, wait: float) -> AbstractAsyncContextManager[Held]:
        return self._hold(name, holder, ttl, wait)

    @asynccontextmanager
    async def _hold(self, name: str, holder: str, ttl: float, wait: float) -> AsyncIterator[Held]:
        token, lease = await self._acquire(name, holder, ttl, self._clock.monotonic() + wait)
        try:
            async with kept(lease, lambda: self._database.write(lambda connection: self._renew(connection, name, token, ttl))):
                yield SqlHeld(name, token, lease)
        finally:
            await asyncio.shield(
                self._database.write(
                    lambda connection: _release(connection, name, token), committed=lambda _: self._call_next(name)
                )
            )

    async def _acquire(self, name: str, holder: str, ttl: float, until: float) -> tuple[int, Lease]:
        """Stand in line for `name` and take it when it is this waiter's turn and the row is free."""
        turn = asyncio.Event()
        line = self._lines[name]
        line.append(turn)
        try:
            while True:
                free_in = 0.0
                turn.clear()
                if line[0] is turn:
                    asked_at = self._clock.monotonic()
                    token, free_in = await self._try(name, holder, ttl)
                    if token:
                        return token, Lease(name, clock=self._clock, ttl=ttl, granted_at=asked_at)
                left = until - self._clock.monotonic()
                if left <= 0:
                    raise await self._busy(name)
                await self._sleep_or_turn(turn, min(left, free_in) if free_in else left)
        finally:
            line.remove(turn)
            self._forget_or_call(name, line)

    async def _try(self, name: str, holder: str, ttl: float) -> tuple[int, float]:
        """One attempt; a caller that is cancelled in the middle of it leaves no lock behind."""
        attempt = asyncio.ensure_future(self._database.write(lambda connection: self._take(connection, name, holder, ttl)))
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            token, _ = await attempt
            if token:
                await self._database.write(lambda connection: _release(connection, name, token))
            raise

    async def _busy(self, name: str) -> Aborted:
        holder = await self._database.read(
            lambda connection: connection.execute(select(table.c.holder).where(table.c.name == name)).scalar()
        )
        return Aborted(
            "LOCK_BUSY",
            f"{name} is locked by {holder or 'another waiter'}",
            remedy="wait for it to end, or try again",
            metadata={"holder": holder or ""},
        )

    async def _sleep_or_turn(self, turn: asyncio.Event, seconds: float) -> None:
        """Until it is this waiter's turn, at most `seconds`."""
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        called = asyncio.ensure_future(turn.wait())
        try:
            await asyncio.wait({sleep, called}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            called.cancel()

    def _forget_or_call(self, name: str, line: deque[asyncio.Event]) -> None:
        if line:
            line[0].set()
        else:
            self._lines.pop(name, None)

    def _call_next(self, name: str) -> None:
        if line := self._lines.get(name):
            line[0].set()

    def _take(self, connection: Connection, name: str, holder: str, ttl: float) -> tuple[int, float]:
        """(token, 0) if the row is ours now, else (0, seconds until its lease ends)."""
        now = self._clock.now()
        row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
        if row is not None and row.expires_at is not None and row.expires_at > now:
            return 0, (row.expires_at - now).total_seconds()
        token = 1 if row is None else row.token + 1
        values = {"token": token, "holder": holder, "expires_at": now + timedelta(seconds=ttl)}
        if row is None:
            connection.execute(insert(table), {"name": name, **values})
        else:
            connection.execute(update(table).where(table.c.name == name).values(**values))
        return token, 0.0

    def _renew(self, connection: Connection, name: str, token: int, ttl: float) -> bool:
        until = self._clock.now() + timedelta(seconds=ttl)
        mine = (table.c.name == name) & (table.c.token == token) & table.c.expires_at.is_not(None)
        return connection.execute(update(table).where(mine).values(expires_at=until)).rowcount == 1


def _release(connection: Connection, name: str, token: int) -> None:
    connection.execute(update(table).where((table.c.name == name) & (table.c.token == token)).values(expires_at=None))
