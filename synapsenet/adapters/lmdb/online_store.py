"""The online store on LMDB: values and change log in one environment, so that one transaction has both."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from synapsenet.adapters.lmdb.environment import Environment
from synapsenet.adapters.lmdb.group_commit import GroupCommit
from synapsenet.errors import OutOfRange
from synapsenet.features.options import OnlineOptions
from synapsenet.features.ports import Change, OnlineStore, RowBatch, WriteCounts
from synapsenet.features.rows import Verdict, compare, received

_PREFIX = 8  # bytes of a value's key that stand for its group
_LENGTHS = struct.Struct(">HH")
_NEWEST = b"\0newest"  # consumers' names are text, so that this is none
_DROPPED_AT_ONCE = 5_000

Rows = list[bytes | None]
Transaction = Any  # lmdb's stubs cannot tell that a transaction without `buffers` gives bytes, never views


class LmdbOnlineStore(OnlineStore):
    """See `open_online_store`."""

    def __init__(self, environment: Environment, options: OnlineOptions) -> None:
        self._environment = environment
        self._options = options
        self._values = environment.database("values")
        self._changes = environment.database("changes")
        self._places = environment.database("places")
        self._commits = GroupCommit(environment, rows=options.rows_per_commit, pending=options.pending_batches)
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="online-store-reader")
        self._waiting: set[asyncio.Future[None]] = set()
        with environment.reading() as transaction:
            self._newest = self._place(transaction, _NEWEST)

    async def close(self) -> None:
        await self._commits.close()
        self._readers.shutdown()
        self._environment.close()

    async def write(self, batch: RowBatch) -> WriteCounts:
        return await self._commits.run(
            lambda transaction: self._apply(transaction, batch), rows=len(batch.rows), committed=self._advance
        )

    def _advance(self, counts: WriteCounts) -> None:
        self._newest = max(self._newest, counts.position)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _apply(self, transaction: Transaction, batch: RowBatch) -> WriteCounts:
        prefix, group_id = _prefix(batch.group_id), batch.group_id.encode("utf-8")
        values, changes = self._values, self._changes
        position = before = self._place(transaction, _NEWEST)
        applied = 0
        for key, row in zip(batch.keys, batch.rows, strict=True):
            stored = transaction.get(prefix + key, db=values)
            verdict = compare(row, stored)
            if verdict is Verdict.APPLIED:
                applied += 1
                transaction.put(prefix + key, row, db=values)
            elif (moved := received(stored, row)) is not stored:
                transaction.put(prefix + key, moved, db=values)
            if verdict is not Verdict.DUPLICATE:
                position += 1
                change = _LENGTHS.pack(len(group_id), len(key)) + group_id + key + row
                transaction.put(_position(position), change, db=changes, append=True)
        if position > before:
            transaction.put(_NEWEST, _position(position), db=self._places)
        kept = position - before
        return WriteCounts(applied=applied, late=kept - applied, duplicates=len(batch.rows) - kept, position=position)

    async def read(self, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[Rows]:
        if sum(len(keys) for _, keys in wanted) <= self._options.inline_keys:
            return self._read(wanted)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, wanted)

    def _read(self, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[Rows]:
        values = self._values
        found: list[Rows] = []
        with self._environment.reading() as transaction:
            get: Any = transaction.get
            for group_id, keys in wanted:
                prefix = _prefix(group_id)
                found.append([get(prefix + key, None, values) for key in keys])
        return found

    async def scan(self, group_id: str) -> AsyncIterator[Sequence[tuple[bytes, bytes]]]:
        start = _prefix(group_id)
        while True:
            piece = await asyncio.get_running_loop().run_in_executor(self._readers, self._piece, start)
            if not piece:
                return
            yield [(key[_PREFIX:], row) for key, row in piece]
            start = piece[-1][0] + b"\0"

    def _piece(self, start: bytes) -> list[tuple[bytes, bytes]]:
        piece: list[tuple[bytes, bytes]] = []
        with self._environment.reading() as transaction:
            cursor: Any = transaction.cursor(self._values)
            if cursor.set_range(start):
                for key, row in cursor:
                    if key[:_PREFIX] != start[:_PREFIX] or len(piece) == self._options.scan_rows:
                        break
                    piece.append((key, row))
        return piece

    async def drop(self, group_id: str) -> None:
        prefix = _prefix(group_id)
        while await self._commits.run(lambda transaction: self._drop_some(transaction, prefix), rows=_DROPPED_AT_ONCE):
            pass

    def _drop_some(self, transaction: Transaction, prefix: bytes) -> bool:
        cursor = transaction.cursor(self._values)
        for _ in range(_DROPPED_AT_ONCE):
            if not cursor.set_range(prefix) or cursor.key()[:_PREFIX] != prefix:
                return False
            cursor.delete()
        return True

    async def changes(self, *, after: int, limit: int) -> Sequence[Change]:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._changes_after, after, limit)

    def _changes_after(self, after: int, limit: int) -> list[Change]:
        with self._environment.reading() as transaction:
            cursor: Any = transaction.cursor(self._changes)
            newest = self._place(transaction, _NEWEST)
            oldest = int.from_bytes(cursor.key(), "big") if cursor.first() else newest + 1
            if after < min(oldest - 1, newest):
                raise OutOfRange(
                    "CHANGES_TRIMMED",
                    f"changes up to {oldest - 1} are no longer kept",
                    remedy=f"read from {oldest} on, and take the values themselves for what was before",
                    metadata={"oldest": str(oldest)},
                )
            if not cursor.set_range(_position(after + 1)):
                return []
            return [_change(key, value) for (key, value), _ in zip(cursor, range(limit), strict=False)]

    async def newest(self) -> int:
        return self._newest

    async def wait_beyond(self, position: int) -> None:
        while self._newest <= position:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)

    async def checkpoint(self, consumer: str) -> int:
        def keep(transaction: Transaction) -> int:
            place = self._place(transaction, consumer.encode("utf-8"))
            transaction.put(consumer.encode("utf-8"), _position(place), db=self._places)
            return place

        return await self._commits.run(keep)

    async def mark(self, consumer: str, position: int) -> None:
        def move(transaction: Transaction) -> None:
            transaction.put(consumer.encode("utf-8"), _position(position), db=self._places)
            places = [int.from_bytes(place, "big") for name, place in transaction.cursor(self._places) if name != _NEWEST]
            self._trim(transaction, min(places))

        await self._commits.run(move)

    def _trim(self, transaction: Transaction, position: int) -> None:
        cursor = transaction.cursor(self._changes)
        there = cursor.first()
        while there and int.from_bytes(cursor.key(), "big") <= position:
            there = cursor.delete() and bool(cursor.key())

    def _place(self, transaction: Transaction, name: bytes) -> int:
        return int.from_bytes(transaction.get(name, b"", self._places), "big")


@asynccontextmanager
async def open_online_store(path: Path, options: OnlineOptions) -> AsyncIterator[LmdbOnlineStore]:
    """The online store in the folder `path`, made if missing.

    Raises:
        DataLoss: ONLINE_STORE_CORRUPT.
        FailedPrecondition: DATA_NOT_WRITABLE.
    """
    environment = Environment(path, map_bytes=options.map_bytes, map_limit_bytes=options.map_limit_bytes)
    store = LmdbOnlineStore(environment, options)
    try:
        yield store
    finally:
        await store.close()


def _prefix(group_id: str) -> bytes:
    return hashlib.blake2b(group_id.encode("utf-8"), digest_size=_PREFIX).digest()


def _position(position: int) -> bytes:
    return position.to_bytes(8, "big")


def _change(key: bytes, value: bytes) -> Change:
    group_length, key_length = _LENGTHS.unpack_from(value)
    group_end = _LENGTHS.size + group_length
    key_end = group_end + key_length
    group_id = value[_LENGTHS.size : group_end].decode("utf-8")
    return Change(int.from_bytes(key, "big"), group_id, value[group_end:key_end], value[key_end:])
