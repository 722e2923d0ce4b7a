"""The way of an area's events to the broker, told: what is sent and how long that takes, what waits and since when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from synapsenet.adapters.sql.backlog import Backlog, read_backlog
from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.clock import Clock
from synapsenet.errors import SynapseError
from synapsenet.platform.events import Event
from synapsenet.platform.sink import EventSink, Receipt
from synapsenet_servers import telemetry
from synapsenet_servers.telemetry.instruments import OUTBOX_BACKLOG, OUTBOX_PARKED, RELAY_LAG, Gauge, Read

if TYPE_CHECKING:
    from synapsenet_servers.telemetry.publishing import Publications

LOOK_EVERY_S = 5.0
_ANSWER_WITHIN_S = 10.0


def observed_sink(sink: EventSink, *, topic: str) -> EventSink:
    """What stands for `sink`: itself, unless this process tells of anything."""
    publications = telemetry.current().publications(topic)
    return sink if publications is None else ObservedSink(sink, publications)


class ObservedSink(EventSink):
    """Stands for `sink`."""

    def __init__(self, sink: EventSink, publications: Publications) -> None:
        self._sink = sink
        self._publications = publications

    async def publish(self, events: Sequence[Event], *, handed_over: Callable[[], object] | None = None) -> Receipt:
        with self._publications.publishing(len(events)) as outcome:
            receipt = await self._sink.publish(events, handed_over=handed_over)
            outcome.refused = len(receipt.refused)
            outcome.delivered = len(events) - len(receipt.refused) - len(receipt.unsettled)
            outcome.away = receipt.away
        return receipt


class BacklogWatch:
    """Looks every few seconds how far an area's relays are behind: who asks for gauges must not wait for a database."""

    def __init__(self, area: str, database: Database, tables: PlatformTables, clock: Clock) -> None:
        self._labels = {"db.namespace": area}
        self._database = database
        self._tables = tables
        self._clock = clock
        self._seen: Backlog | None = None

    async def run(self) -> None:
        """Look for ever; while the database does not answer, nothing is told."""
        while True:
            try:
                async with asyncio.timeout(_ANSWER_WITHIN_S):
                    self._seen = await read_backlog(self._database, self._tables)
            except (SynapseError, TimeoutError):
                self._seen = None
            await self._clock.sleep(LOOK_EVERY_S)

    def gauges(self) -> Iterable[tuple[Gauge, Read]]:
        def told(value: Callable[[Backlog], float]) -> Read:
            return lambda: [] if self._seen is None else [(value(self._seen), self._labels)]

        return (
            (OUTBOX_BACKLOG, told(lambda seen: seen.waiting)),
            (OUTBOX_PARKED, told(lambda seen: seen.parked)),
            (RELAY_LAG, told(self._lag)),
        )

    def _lag(self, seen: Backlog) -> float:
        return 0.0 if seen.oldest is None else max(0.0, (self._clock.now() - seen.oldest).total_seconds())
