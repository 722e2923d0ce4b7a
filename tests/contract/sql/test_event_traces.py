"""An event keeps the trace in which it was committed; watchers and relays read it with the event."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synapsenet.adapters.sql.relay import SqlRelayLog
from synapsenet.adapters.sql.work import open_work
from synapsenet.clock import SystemClock
from synapsenet.ids import SeededIds
from synapsenet.testing.work import appending
from tests.contract.sql.ledger import AREA, REVISIONS, SqlLedgerWork, metadata

TRACES = ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None]


async def test_an_event_keeps_the_trace_in_which_it_was_committed(tmp_path: Path) -> None:
    given = iter(TRACES)
    opened = open_work(
        tmp_path / "ledger.sqlite",
        area=AREA,
        metadata=metadata,
        unit=SqlLedgerWork,
        clock=SystemClock(),
        event_ids=SeededIds("event", 1),
        revisions=REVISIONS,
        trace=lambda: next(given),
    )
    async with opened as work:
        for _ in TRACES:
            await work.run(appending("entry/a"))
        watched: Sequence[str | None] = [event.trace for event in await work.feed.read(after=0, limit=10)]
        log = SqlRelayLog(work.database, work.tables, work.feed)
        relayed = [event.trace for event in await log.read(after=0, limit=10)]
    assert watched == relayed == TRACES
