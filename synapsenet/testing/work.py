"""What every unit of work promises, whatever it is built on."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import pytest

from synapsenet.errors import AlreadyExists, InvalidArgument, OutOfRange
from synapsenet.platform.events import Event, EventFeed
from synapsenet.platform.work import Request, UnitOfWork, WorkFactory

DEADLINE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record of the sample area."""

    id: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryBooked:
    """The event of the sample area."""

    entry: str
    amount: int


class Entries(ABC):
    """The repository of the sample area."""

    @abstractmethod
    def add(self, entry: Entry) -> None: ...

    @abstractmethod
    def all(self) -> Sequence[Entry]: ...


class LedgerWork(UnitOfWork):
    """A sample area: the smallest that has a repository."""

    entries: Entries


class Ledger(WorkFactory[LedgerWork], Protocol):
    """The sample area's units of work and their feed; at most `RETAINED` positioned events are kept, with some slack."""

    @property
    def feed(self) -> EventFeed: ...


RETAINED = 50


def book(tx: LedgerWork, entry: Entry) -> Entry:
    tx.entries.add(entry)
    tx.events.append(f"entry/{entry.id}", EntryBooked(entry=entry.id, amount=entry.amount))
    return entry


def booking(name: str, amount: int = 1) -> Callable[[LedgerWork], Entry]:
    """The commit that books one entry."""
    return lambda tx: book(tx, Entry(id=name, amount=amount))


def appending(aggregate: str, amount: int = 1) -> Callable[[LedgerWork], int]:
    """The commit that appends one event, and gives its number."""
    return lambda tx: tx.events.append(aggregate, EntryBooked(entry=aggregate, amount=amount))


async def positioned(ledger: Ledger, count: int, *, after: int = 0) -> list[Event]:
    """The first `count` events after a position, waited for."""
    events: list[Event] = []
    async with asyncio.timeout(DEADLINE):
        async for event in ledger.feed.watch(after=after):
            events.append(event)
            if len(events) == count:
                break
    return events


async def reaching(ledger: Ledger, position: int) -> None:
    """Return when the event at `position` can be read: whoever gives positions may come after the commit."""
    async with asyncio.timeout(DEADLINE):
        async for _ in ledger.feed.watch(after=position - 1):
            return


async def trimming(ledger: Ledger) -> None:
    """Read the log from its start until that is refused: whoever keeps it within its bounds may come after the commit."""
    async with asyncio.timeout(DEADLINE):
        while True:
            await ledger.feed.read(after=0, limit=1)
            await asyncio.sleep(0.01)


def _once(request: Request, make: Callable[[LedgerWork], Entry]) -> Callable[[LedgerWork], Entry]:
    return lambda tx: tx.once(request, Entry, lambda: make(tx))


class UnitOfWorkContract:
    """Run over every adapter by a class that provides the fixture `ledger`."""

    async def test_what_was_committed_is_read_back(self, ledger: Ledger) -> None:
        await ledger.run(lambda tx: book(tx, Entry(id="a", amount=1)))
        assert await ledger.read(lambda tx: tx.entries.all()) == [Entry(id="a", amount=1)]

    async def test_a_failed_unit_of_work_leaves_neither_record_nor_event_nor_answer(self, ledger: Ledger) -> None:
        request = Request("r", b"digest")

        def fail(tx: LedgerWork) -> None:
            book(tx, Entry(id="a", amount=1))
            tx.remember(request, b"answer")
            raise KeyError("the area changed its mind")

        with pytest.raises(KeyError):
            await ledger.run(fail)
        await ledger.run(lambda tx: book(tx, Entry(id="b", amount=2)))
        assert [entry.id for entry in await ledger.read(lambda tx: tx.entries.all())] == ["b"]
        assert [event.aggregate for event in await positioned(ledger, 1)] == ["entry/b"]
        assert await ledger.read(lambda tx: tx.earlier(request)) is None

    async def test_a_text_with_a_nul_is_refused_and_stops_nobody(self, ledger: Ledger) -> None:
        with pytest.raises(InvalidArgument) as refusal:
            await ledger.run(booking("nul \0 character"))
        assert refusal.value.reason == "VALUE_NOT_STORABLE"
        await ledger.run(booking("whole"))
        assert [entry.id for entry in await ledger.read(lambda tx: tx.entries.all())] == ["whole"]

    async def test_the_same_request_is_carried_out_once(self, ledger: Ledger) -> None:
        request = Request("r", b"digest")

        def wish(tx: LedgerWork) -> Entry:
            return tx.once(request, Entry, lambda: book(tx, Entry(id="a", amount=1)))

        answers = [await ledger.run(wish) for _ in range(3)]
        assert answers == [Entry(id="a", amount=1)] * 3
        assert len(await ledger.read(lambda tx: tx.entries.all())) == 1

    async def test_concurrent_retries_of_one_request_are_carried_out_once(self, ledger: Ledger) -> None:
        request = Request("r", b"digest")
        wishes = (ledger.run(lambda tx: tx.once(request, Entry, lambda: book(tx, Entry(id="a", amount=1)))) for _ in range(8))
        assert await asyncio.gather(*wishes) == [Entry(id="a", amount=1)] * 8

    async def test_a_request_id_with_another_body_is_refused_by_name(self, ledger: Ledger) -> None:
        await ledger.run(lambda tx: tx.remember(Request("r", b"one"), b"answer"))
        with pytest.raises(AlreadyExists) as refusal:
            await ledger.run(lambda tx: tx.earlier(Request("r", b"other")))
        assert refusal.value.reason == "REQUEST_ID_REUSED"
        assert refusal.value.metadata == {"request_id": "r"}

    async def test_a_call_without_a_request_id_is_a_new_wish_each_time(self, ledger: Ledger) -> None:
        anonymous = Request()
        for amount in range(2):
            await ledger.run(_once(anonymous, booking(f"e{amount}", amount)))
        assert len(await ledger.read(lambda tx: tx.entries.all())) == 2

    async def test_an_aggregates_events_are_numbered_from_one_without_gaps(self, ledger: Ledger) -> None:
        async def events(aggregate: str) -> None:
            assert [await ledger.run(appending(aggregate, amount)) for amount in range(5)] == [1, 2, 3, 4, 5]

        await asyncio.gather(events("entry/a"), events("entry/b"), events("entry/c"))
        seen = await positioned(ledger, 15)
        for aggregate in ("entry/a", "entry/b", "entry/c"):
            assert [event.sequence for event in seen if event.aggregate == aggregate] == [1, 2, 3, 4, 5]

    async def test_positions_grow_in_the_order_of_an_aggregates_sequence(self, ledger: Ledger) -> None:
        for amount in range(10):
            await ledger.run(appending("entry/a", amount))
        seen = await positioned(ledger, 10)
        assert all(one.position < other.position and one.sequence < other.sequence for one, other in pairwise(seen))
        assert await ledger.feed.newest() == seen[-1].position

    async def test_a_watcher_sees_stored_events_then_live_ones_and_misses_none(self, ledger: Ledger) -> None:
        await ledger.run(lambda tx: book(tx, Entry(id="stored", amount=1)))
        watching = asyncio.create_task(positioned(ledger, 3))
        await asyncio.sleep(0)
        for name in ("live", "later"):
            await ledger.run(booking(name))
        assert [event.aggregate for event in await watching] == ["entry/stored", "entry/live", "entry/later"]

    async def test_a_watcher_resumes_after_any_position(self, ledger: Ledger) -> None:
        for name in "abc":
            await ledger.run(booking(name))
        first, *_ = await positioned(ledger, 3)
        assert [event.aggregate for event in await positioned(ledger, 2, after=first.position)] == ["entry/b", "entry/c"]

    async def test_the_feed_of_one_aggregate_has_only_its_events(self, ledger: Ledger) -> None:
        for name in "aba":
            await ledger.run(appending(f"entry/{name}"))
        await positioned(ledger, 3)
        events = await ledger.feed.read(after=0, limit=10, aggregate="entry/a")
        assert [event.sequence for event in events] == [1, 2]

    async def test_a_watcher_of_a_quiet_aggregate_is_not_left_behind_by_the_events_of_others(self, ledger: Ledger) -> None:
        async def next_of_quiet() -> int:
            async for event in ledger.feed.watch(after=0, aggregate="entry/quiet"):
                return event.sequence
            raise AssertionError("a watch ended by itself")

        watching = asyncio.create_task(next_of_quiet())
        for commit in range(250):  # together past the retention and its slack, each well within the retention
            await ledger.run(lambda tx: [tx.events.append("entry/loud", EntryBooked(entry="a", amount=n)) for n in range(5)])
            await reaching(ledger, 5 * (commit + 1))
            await ledger.feed.read(after=5 * (commit + 1), limit=1)
        await ledger.run(appending("entry/quiet"))
        async with asyncio.timeout(DEADLINE):
            assert await watching == 1

    async def test_a_position_that_is_no_longer_kept_is_refused_with_the_oldest_one(self, ledger: Ledger) -> None:
        def many(tx: LedgerWork) -> None:
            for amount in range(3_000):
                tx.events.append("entry/a", EntryBooked(entry="a", amount=amount))

        await ledger.run(many)
        with pytest.raises(OutOfRange) as refusal:
            await trimming(ledger)
        with pytest.raises(OutOfRange):
            await positioned(ledger, 1)
        oldest = int(refusal.value.metadata["oldest"])
        kept = await ledger.feed.read(after=oldest - 1, limit=1)
        assert [event.position for event in kept] == [oldest]
        assert await ledger.feed.newest() - oldest >= RETAINED - 1
