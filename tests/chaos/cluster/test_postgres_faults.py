"""PostgreSQL restarted, killed, cut off, stopped, full: what callers see, and that nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import Connection, text

from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.errors import DeadlineExceeded, ResourceExhausted, SynapseError, Unavailable
from synapsenet.platform.work import Request
from synapsenet.testing.work import Entry, EntryBooked, LedgerWork, book, positioned
from tests.chaos.cluster.commit_cutter import CommitCutter, commit_cutter
from tests.chaos.conftest import Tell
from tests.contract.databases import drop_schemas, schema_records
from tests.contract.sql.ledger import SqlLedgerWork, open_ledger_on
from tests.disks import own_folder, small_disk
from tests.postgres_server import RunningPostgres, postgres_server

RESTARTS = int(os.environ.get("CHAOS_POSTGRES_RESTARTS", "6"))
Ledger = SqlWork[SqlLedgerWork]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningPostgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def options(server: RunningPostgres) -> PostgresOptions:
    found = PostgresOptions(url=server.url, wait_s=2.0, connect_s=2.0, transaction_s=5.0, outcome_s=10.0)
    drop_schemas(found)
    return found


def opened(options: PostgresOptions, folder: Path) -> AbstractAsyncContextManager[Ledger]:
    return open_ledger_on(schema_records(options, folder))


def wish(name: str, amount: int = 1) -> Callable[[LedgerWork], Entry]:
    """Book an entry under a request id of its own, as a client's retries would."""
    request = Request(f"request-{name}", b"digest")
    return lambda tx: tx.once(request, Entry, lambda: book(tx, Entry(id=name, amount=amount)))


async def stored(ledger: Ledger) -> list[str]:
    return [entry.id for entry in await ledger.read(lambda tx: tx.entries.all())]


class Client:
    """Books one entry after the other, and tries each again until it is acknowledged."""

    def __init__(self, name: str, ledger: Ledger) -> None:
        self.name = name
        self.acknowledged: list[str] = []
        self.refusals: list[SynapseError] = []
        self._ledger = ledger

    async def book_until(self, over: asyncio.Event) -> None:
        for number in count():
            if over.is_set():
                return
            await self._book(f"{self.name}-{number:05}")

    async def _book(self, entry: str) -> None:
        while True:
            try:
                await self._ledger.run(wish(entry))
            except (Unavailable, ResourceExhausted) as error:
                self.refusals.append(error)
                await asyncio.sleep(0.02)
            else:
                self.acknowledged.append(entry)
                return


def end_writers(server: RunningPostgres) -> None:
    """End the server's processes that write, as an operator's or the kernel's kill would."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'synapsenet ledger' AND state <> 'idle'"
        ).fetchall()
    for (pid,) in rows:
        os.kill(pid, signal.SIGTERM)


def restart_at_once(server: RunningPostgres) -> None:
    server.stop(signal.SIGQUIT)
    server.start()


def kill_and_start(server: RunningPostgres) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize("disturb", [end_writers, restart_at_once, kill_and_start])
async def test_what_was_acknowledged_is_stored_once_however_the_server_is_disturbed(
    disturb: Callable[[RunningPostgres], None], server: RunningPostgres, options: PostgresOptions, tmp_path: Path, tell: Tell
) -> None:
    async with opened(options, tmp_path) as ledger:
        clients, over = [Client(f"client{number}", ledger) for number in range(4)], asyncio.Event()
        booking = [asyncio.create_task(client.book_until(over)) for client in clients]
        for _ in range(RESTARTS):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(disturb, server)
        await asyncio.sleep(0.3)
        over.set()
        async with asyncio.timeout(30):
            await asyncio.gather(*booking)
        acknowledged = sorted(entry for client in clients for entry in client.acknowledged)
        assert len(acknowledged) > 4 * RESTARTS
        kept = await stored(ledger)
        async with asyncio.timeout(10):
            await whole_log(ledger, acknowledged)
        fault = f"PostgreSQL disturbed {RESTARTS} times ({disturb.__name__}), {len(acknowledged)} writes"
        tell(fault, lost_writes=len(set(acknowledged) - set(kept)), doubled=len(kept) - len(set(acknowledged)))
        reasons = {refusal.reason for client in clients for refusal in client.refusals}
        # Unknown only where the server took longer to come back than is asked for: the retry got the stored answer.
        assert reasons <= {"DATABASE_UNAVAILABLE", "DATABASE_BUSY", "COMMIT_UNKNOWN"}, reasons


async def whole_log(ledger: Ledger, entries: Sequence[str]) -> None:
    """One event for each of `entries`, each with its position, none twice."""
    newest = await ledger.feed.newest()
    while newest < len(entries):
        await asyncio.sleep(0.05)
        newest = await ledger.feed.newest()
    kept = [event.aggregate for event in await ledger.feed.read(after=max(0, newest - 50), limit=100)]
    assert newest == len(entries)
    assert len(set(kept)) == len(kept) == min(50, newest)


@pytest.fixture
def cutter(server: RunningPostgres) -> Iterator[CommitCutter]:
    with commit_cutter(server.port, b"INSERT INTO entries") as proxy:
        yield proxy


@pytest.fixture
async def through(
    cutter: CommitCutter, server: RunningPostgres, options: PostgresOptions, tmp_path: Path
) -> AsyncIterator[Ledger]:
    """A ledger whose connections go through `cutter`."""
    url = f"postgresql://synapsenet@{cutter.address}/synapsenet"
    tcp = replace(options, url=url, password_file=str(server.password), outcome_s=1.0)
    async with opened(tcp, tmp_path) as ledger:
        await ledger.run(wish("first"))
        await positioned(ledger, 1)
        yield ledger


async def test_a_commit_whose_answer_was_lost_is_acknowledged_all_the_same(
    cutter: CommitCutter, through: Ledger, tell: Tell
) -> None:
    cutter.lose_next_answer()
    assert await through.run(wish("second", 2)) == Entry(id="second", amount=2)
    assert cutter.cuts == 1
    lost = {"first", "second"} - set(await stored(through))
    tell("PostgreSQL's answer to a commit lost: found out by its mark", lost_writes=len(lost))
    assert [event.aggregate for event in await positioned(through, 2)] == ["entry/first", "entry/second"]


async def test_a_commit_that_never_arrived_is_told_as_not_stored(cutter: CommitCutter, through: Ledger) -> None:
    cutter.lose_next_commit()
    with pytest.raises(Unavailable) as refusal:
        await through.run(wish("second"))
    assert refusal.value.reason == "DATABASE_UNAVAILABLE"
    assert cutter.cuts == 1
    assert await stored(through) == ["first"]
    await through.run(wish("second"))
    assert await stored(through) == ["first", "second"]


async def test_what_became_of_a_commit_is_unknown_only_if_nobody_can_say_and_a_retry_gets_its_answer(
    cutter: CommitCutter, through: Ledger, tell: Tell
) -> None:
    cutter.lose_next_answer(then_refuse=True)
    with pytest.raises(Unavailable) as refusal:
        await through.run(wish("second", 2))
    assert refusal.value.reason == "COMMIT_UNKNOWN"
    assert "request id" in refusal.value.remedy
    cutter.refusing = False
    assert await through.run(wish("second", 2)) == Entry(id="second", amount=2)
    kept = await stored(through)
    tell("PostgreSQL away after a commit: COMMIT_UNKNOWN, its retry answered", doubled=len(kept) - len(set(kept)))
    assert kept == ["first", "second"]


async def asleep(run: Callable[[Callable[[Connection], None]], Awaitable[None]]) -> asyncio.Future[None]:
    """A transaction that has begun, and sleeps for a second on the server."""
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def sleep(connection: Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        connection.execute(text("SELECT pg_sleep(1)"))

    sleeping = asyncio.ensure_future(run(sleep))
    await asyncio.wait_for(begun.wait(), 10)
    return sleeping


async def test_one_reader_more_than_there_are_connections_is_told_to_come_back(
    options: PostgresOptions, tmp_path: Path
) -> None:
    async with opened(replace(options, readers=1, wait_s=0.3), tmp_path) as ledger:
        slow = await asleep(ledger.database.read)
        with pytest.raises(ResourceExhausted) as refusal:
            await stored(ledger)
        assert (refusal.value.reason, refusal.value.retry_after) == ("DATABASE_BUSY", 0.5)
        await ledger.run(wish("beside"))
        await slow
        assert await stored(ledger) == ["beside"]


async def test_a_writer_that_another_process_keeps_waiting_is_told_to_come_back(
    options: PostgresOptions, tmp_path: Path
) -> None:
    async with (
        opened(replace(options, wait_s=0.3), tmp_path) as one,
        opened(replace(options, wait_s=0.3), tmp_path / "b") as other,
    ):
        slow = await asleep(one.database.write)
        with pytest.raises(ResourceExhausted) as refusal:
            await other.run(wish("late"))
        assert refusal.value.reason == "DATABASE_BUSY"
        await slow
        await other.run(wish("late"))


async def test_a_statement_that_takes_too_long_is_ended_by_name(options: PostgresOptions, tmp_path: Path) -> None:
    async with opened(replace(options, statement_s=0.3), tmp_path) as ledger:
        with pytest.raises(DeadlineExceeded) as refusal:
            await ledger.database.read(lambda c: c.execute(text("SELECT pg_sleep(5)")).all())
        assert refusal.value.reason == "DATABASE_SLOW"
        await ledger.run(wish("after"))


@contextmanager
def stopped(server: RunningPostgres) -> Iterator[None]:
    """Every process of the server stands still, as under a debugger or a frozen machine."""
    postmaster = psutil.Process(server.process.pid)
    everybody = [postmaster, *postmaster.children(recursive=True)]
    for process in everybody:
        process.suspend()
    try:
        yield
    finally:
        for process in everybody:
            process.resume()


async def test_a_server_that_stands_still_is_given_up_in_bounded_time_and_loses_nothing(
    server: RunningPostgres, options: PostgresOptions, tmp_path: Path, tell: Tell
) -> None:
    async with opened(options, tmp_path):
        pass  # its schema is made in the time that this takes
    async with opened(replace(options, transaction_s=1.0, outcome_s=1.0), tmp_path) as ledger:
        await ledger.run(wish("before"))
        with stopped(server):
            began = time.monotonic()
            with pytest.raises(Unavailable) as refusal:
                await ledger.run(wish("during"))
            assert refusal.value.reason == "DATABASE_UNAVAILABLE"
            assert time.monotonic() - began < 10
        await ledger.run(wish("during"))
        lost = {"before", "during"} - set(await stored(ledger))
        tell("PostgreSQL stopped (SIGSTOP): DATABASE_UNAVAILABLE in bounded time", lost_writes=len(lost))


@contextmanager
def no_space(server: RunningPostgres) -> Iterator[None]:
    """Little is left on the small disk."""
    filler, free = server.data.parent / "filler", os.statvfs(server.data)
    filler.write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - (8 << 20))))
    yield
    filler.unlink()


@contextmanager
def no_growth(server: RunningPostgres) -> Iterator[None]:
    """No file may grow past what its log needs, as under a quota."""
    postmaster = psutil.Process(server.process.pid)
    everybody = [postmaster, *postmaster.children(recursive=True)]
    soft, hard = postmaster.rlimit(resource.RLIMIT_FSIZE)
    for process in everybody:
        process.rlimit(resource.RLIMIT_FSIZE, (16 << 20, hard))
    yield
    for process in {postmaster, *postmaster.children(recursive=True)}:
        process.rlimit(resource.RLIMIT_FSIZE, (soft, hard))


Disk = Callable[[Path], AbstractContextManager[None]]
Fullness = Callable[[RunningPostgres], AbstractContextManager[None]]
FULL: dict[str, tuple[Disk, Fullness]] = {"no growth": (own_folder, no_growth)}
if os.geteuid() == 0:  # nobody else may mount a disk of its own
    FULL["no space"] = (partial(small_disk, mib=112), no_space)


async def fill(ledger: Ledger) -> tuple[int, SynapseError]:
    """Append large events until one is refused; how many went in."""
    for number in range(200):
        large = EntryBooked(entry=os.urandom(1 << 19).hex(), amount=number)
        try:
            await ledger.run(lambda tx, large=large: tx.events.append("entry/large", large))  # type: ignore[misc]  # a default
        except SynapseError as error:
            return number, error
    raise AssertionError("the disk did not fill")


@pytest.mark.parametrize("way", FULL)
async def test_a_full_disk_is_named_costs_nothing_stored_and_is_over_when_there_is_room(
    way: str, tmp_path: Path, tell: Tell
) -> None:
    (disk, fullness), folder = FULL[way], tmp_path / "disk"
    folder.mkdir()
    with disk(folder), postgres_server(folder / "postgres") as server:
        async with opened(PostgresOptions(url=server.url, outcome_s=3.0), tmp_path) as ledger:
            await ledger.run(wish("first"))
            with fullness(server):
                appended, refusal = await fill(ledger)
                if way == "no growth":
                    assert refusal.reason == "STORAGE_FULL", (refusal, refusal.secret)
                    assert "free space" in refusal.public
                    assert await stored(ledger) == ["first"]  # readers go on
                # A server whose own log has no room ends itself, even in the middle of a commit.
                assert refusal.reason in ("STORAGE_FULL", "DATABASE_UNAVAILABLE", "COMMIT_UNKNOWN"), refusal
            await book_at_last(ledger, server)
            lost = {"first", "last"} - set(await stored(ledger))
            events = await positioned(ledger, appended + 2)
            tell(f"PostgreSQL's disk full ({way})", lost_writes=len(lost), lost_events=appended + 2 - len(events))


async def book_at_last(ledger: Ledger, server: RunningPostgres) -> None:
    """As an operator and a client do once there is room: start what ended, try again until it is acknowledged."""
    async with asyncio.timeout(20):
        while True:
            if server.process.poll() is not None:
                await asyncio.to_thread(server.start)
            try:
                await ledger.run(wish("last"))
            except (Unavailable, ResourceExhausted):
                await asyncio.sleep(0.2)
            else:
                return
