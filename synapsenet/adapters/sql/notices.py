"""What processes on one PostgreSQL tell each other at once: that events of an area wait for positions, or have got them.

A notice only makes somebody look earlier: whoever hears none, because the connection was away, looks when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from enum import StrEnum

import psycopg

from synapsenet.adapters.sql.postgres import parameters
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.clock import Clock
from synapsenet.errors import SynapseError

_log = logging.getLogger(__name__)

CHANNEL = "synapsenet"
_HEARTBEAT_S = 5.0
_LONGEST_PAUSE_S = 5.0


class News(StrEnum):
    """What there is to tell of an area."""

    COMMITTED = "committed"
    POSITIONED = "positioned"


def notice(area: str, news: News) -> str:
    """The payload of a notice."""
    return f"{news} {area}"


class Notices:
    """The one connection of this process that listens."""

    def __init__(self, options: PostgresOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._listeners: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)

    def listen(self, area: str, news: News, listener: Callable[[], None]) -> None:
        """Call `listener`, on the event loop, at each such notice, and whenever some may have been missed."""
        self._listeners[notice(area, news)].append(listener)

    async def run(self) -> None:
        """Listen until cancelled; a connection that breaks is made again."""
        pause = 0.1
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._tell_all()
                    pause = 0.1
                    await self._hear(connection)
            except (psycopg.Error, SynapseError, OSError) as error:
                _log.warning("notices of the database are not heard: %s", type(error).__name__)
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _connect(self) -> psycopg.AsyncConnection[object]:
        made = parameters(self._options, "notices")
        return await psycopg.AsyncConnection.connect(self._options.url, autocommit=True, **made)

    async def _hear(self, connection: psycopg.AsyncConnection[object]) -> None:
        while True:
            async for heard in connection.notifies(timeout=_HEARTBEAT_S):
                for listener in self._listeners.get(heard.payload, ()):
                    listener()
            async with asyncio.timeout(_HEARTBEAT_S):  # a line that is dead says nothing by itself
                await connection.execute("SELECT 1")

    def _tell_all(self) -> None:
        for listeners in self._listeners.values():
            for listener in listeners:
                listener()
