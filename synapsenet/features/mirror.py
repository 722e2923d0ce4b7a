"""The mirror: follows the change log and writes it into the history, exactly once, keeping its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence

import numpy as np

from synapsenet.clock import Clock
from synapsenet.errors import ResourceExhausted
from synapsenet.features.catalogue import Catalogue, Entry
from synapsenet.features.keys import decode_keys
from synapsenet.features.ports import Change, History, HistoryBatch, OnlineStore
from synapsenet.features.rows import DELETED, rank

CONSUMER = "history"

_log = logging.getLogger(__name__)


class Mirror:
    """Moves changes into the history.

    Args:
        interval: seconds between steps while changes come; more changes a file make fewer files.
        rows: changes a step.
    """

    def __init__(
        self, *, store: OnlineStore, history: History, catalogue: Catalogue, clock: Clock, interval: float, rows: int
    ) -> None:
        self._store = store
        self._history = history
        self._catalogue = catalogue
        self._clock = clock
        self._interval = interval
        self._rows = rows
        self._one_at_a_time = asyncio.Lock()
        self._position: int | None = None

    async def run(self) -> None:
        """Follow the log until cancelled. While the disk is full, the log keeps what the history could not take."""
        while True:
            try:
                await self._store.wait_beyond(await self.flush())
            except ResourceExhausted as error:
                _log.warning("the history is behind: %s", error.public)
            await self._clock.sleep(self._interval)

    async def flush(self) -> int:
        """Bring everything that is on disk now into the history; the position up to which it has all."""
        async with self._one_at_a_time:
            position = await self._start() if self._position is None else self._position
            newest = await self._store.newest()
            self._position = None  # until it has succeeded: a step that was broken off may have written files past its place
            while position < newest:
                position = await self._step(position)
            self._position = position
            return position

    async def drop(self, group_id: str) -> None:
        """Delete the history of a group that the catalogue no longer has, after any step that still knew it."""
        async with self._one_at_a_time:
            await self._history.drop(group_id)

    async def _start(self) -> int:
        position = await self._store.checkpoint(CONSUMER)
        await self._history.discard_after(position)
        return position

    async def _step(self, after: int) -> int:
        changes = await self._store.changes(after=after, limit=self._rows)
        for group_id, own in _by_group(changes):
            if (entry := self._catalogue.by_id(group_id)) is not None:
                await self._history.append(await asyncio.to_thread(history_batch, entry, own))
        last = changes[-1].position
        await self._store.mark(CONSUMER, last)
        return last


def history_batch(entry: Entry, changes: Sequence[Change]) -> HistoryBatch:
    """`changes` of one group as columns."""
    rows = [change.row for change in changes]
    header, values = entry.layout.unpack(rows, [feature.name for feature in entry.group.features])
    return HistoryBatch(
        group_id=entry.group.id,
        keys=decode_keys(entry.group.entity_keys, [change.key for change in changes]),
        values=values,
        event_times=header["event_time"],
        ingest_times=header["ingest_time"],
        sequences=header["sequence"],
        ranks=np.array([rank(row) for row in rows], dtype=np.int64),
        deleted=header["flags"] & DELETED != 0,
        positions=np.array([change.position for change in changes], dtype=np.int64),
    )


def _by_group(changes: Sequence[Change]) -> Iterator[tuple[str, list[Change]]]:
    groups: dict[str, list[Change]] = {}
    for change in changes:
        groups.setdefault(change.group_id, []).append(change)
    yield from groups.items()
