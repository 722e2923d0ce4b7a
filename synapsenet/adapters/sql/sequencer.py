"""Positions for committed events, given by one process at a time.

Numbers drawn inside transactions are not in commit order, so a watcher that resumes after one could miss a smaller one that
was committed later. A sequencer gives positions to what is committed, in a transaction of its own. Its lease avoids two at
work; its fencing token, kept beside the newest position, makes a former one fail that does not know yet that it is.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, func, select, text, update

from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.events import SqlEventFeed
from synapsenet.adapters.sql.notices import CHANNEL, News, notice
from synapsenet.adapters.sql.retention import SHARD, Trimmer
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.clock import Clock
from synapsenet.errors import Aborted, SynapseError
from synapsenet.platform.locks import Held, Locks

_log = logging.getLogger(__name__)

_BATCH = 1_000
_TTL_S = 10.0
_PATIENCE_S = 3_600.0
_POLL_S = 1.0
_PACE_S = 0.005  # a batch a commit would cost each commit a third of its time
_PAUSE_S = 0.5


class _Statements:
    """What a batch takes, built once."""

    def __init__(self, area: str, tables: PlatformTables) -> None:
        outbox, bounds = tables.outbox, tables.log_bounds
        here = bounds.c.shard == SHARD
        self.bounds = select(bounds.c.newest, bounds.c.fence).where(here).with_for_update()
        waiting = select(outbox.c.number).where(outbox.c.position.is_(None)).order_by(outbox.c.number).limit(_BATCH).subquery()
        place = select(waiting.c.number, func.row_number().over(order_by=waiting.c.number).label("place")).subquery()
        position = bindparam("newest_before", type_=BigInteger) + place.c.place
        self.give = update(outbox).where(outbox.c.number == place.c.number).values(position=position)
        told = func.pg_notify(CHANNEL, notice(area, News.POSITIONED))
        kept: dict[str, Any] = {"newest": bindparam("newest_now"), "fence": bindparam("token")}
        self.keep = update(bounds).where(here).values(**kept).returning(told)


class Sequencer:
    """Gives positions to the events of one area while this process has the lease for it, and stands by while another has.

    Args:
        holder: this process, for those who ask who has the lease.
        feed: woken here when positions were given; other processes get a notice.
    """

    def __init__(
        self,
        database: Database,
        tables: PlatformTables,
        feed: SqlEventFeed,
        *,
        locks: Locks,
        holder: str,
        clock: Clock,
        trimmer: Trimmer,
    ) -> None:
        self._database = database
        self._statements = _Statements(database.name, tables)
        self._feed = feed
        self._locks = locks
        self._holder = holder
        self._clock = clock
        self._trimmer = trimmer
        self._leads = False
        self._committed = asyncio.Event()
        self._noticed = asyncio.Event()

    def committed(self) -> None:
        """Tell that this process committed events."""
        self._committed.set()
        if not self._leads:
            self._noticed.set()

    def look(self) -> None:
        """Tell that another process may have committed events."""
        self._committed.set()

    async def run(self) -> None:
        """Lead or stand by until cancelled."""
        telling = asyncio.create_task(self._tell_others(), name=f"notices of {self._database.name}")
        try:
            while True:
                try:
                    name = f"sequencer/{self._database.name}"
                    async with self._locks.hold(name, holder=self._holder, ttl=_TTL_S, wait=_PATIENCE_S) as held:
                        await self._lead(held)
                except SynapseError as error:
                    _log.info("no positions are given here to events of %s: %s", self._database.name, error.public)
                await self._clock.sleep(_PAUSE_S)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _lead(self, held: Held) -> None:
        """Give positions until the lease is lost or somebody else's token was seen.

        Raises:
            Aborted: LOCK_LOST, SEQUENCER_FENCED.
        """
        self._leads = True
        try:
            while True:
                held.check()
                self._committed.clear()
                given, newest = await self._attempt(held.token)
                if given:
                    self._feed.wake()
                    await self._trimmer.trim(newest)
                await self._trimmer.trim_old()
                if given < _BATCH:
                    await self._wait(held)
                    await asyncio.sleep(_PACE_S)  # real time, whatever clock there is: it lets commits gather
        finally:
            self._leads = False

    async def _attempt(self, token: int) -> tuple[int, int]:
        try:
            return await self._database.tend(partial(self._give, token=token))
        except Aborted:
            raise
        except SynapseError as error:  # the database is away, or full: the lease is kept, the next attempt may succeed
            _log.warning("events of %s wait for their positions: %s", self._database.name, error.public)
            return 0, 0

    async def _wait(self, held: Held) -> None:
        """Until something was committed or the lease was lost, but not for long: a notice may not have come through."""
        waiting = [asyncio.ensure_future(one) for one in (self._committed.wait(), held.lost(), self._clock.sleep(_POLL_S))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waiting:
                future.cancel()

    def _give(self, connection: Connection, token: int) -> tuple[int, int]:
        """Give positions to a batch of what waits, in the order of their numbers; how many, and the newest."""
        row = connection.execute(self._statements.bounds).one()
        if row.fence > token:
            raise Aborted("SEQUENCER_FENCED", f"another sequencer of {self._database.name} has a newer lease")
        given = connection.execute(self._statements.give, {"newest_before": row.newest}).rowcount
        newest = int(row.newest) + given
        if given or row.fence < token:
            connection.execute(self._statements.keep, {"newest_now": newest, "token": token})
        return given, newest

    async def _tell_others(self) -> None:
        """Whoever leads elsewhere hears of what is committed here; many commits may be one notice."""
        told = notice(self._database.name, News.COMMITTED)
        statement, values = text("SELECT pg_notify(:channel, :told)"), {"channel": CHANNEL, "told": told}
        while True:
            await self._noticed.wait()
            self._noticed.clear()
            with suppress(SynapseError):  # whoever leads looks by itself now and then
                await self._database.tend(lambda connection: connection.execute(statement, values) is None)
