"""One etcd that is restored, compacted and cut off, and holders that stand still: no token falls, no change is missed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.membership import EtcdMembership
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import EtcdSession, open_session
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.epochs import SqlEpochs
from synapsenet.clock import SystemClock
from synapsenet.errors import Aborted
from synapsenet.platform.membership import Instance
from tests.chaos.cluster.lock_worker import Worker, lock_worker
from tests.chaos.conftest import Tell
from tests.chaos.cutting_proxy import cutting_proxy
from tests.contract.etcd.counters import Counters, FileCounters
from tests.etcd_server import EtcdServer, etcd_server

TTL = 3.0
PATIENCE_S = 15.0
PREFIX = "/synapsenet/"


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdServer]:
    with etcd_server() as server:
        yield server


@pytest.fixture(scope="module")
def epochs() -> Counters:
    return Counters()


def opened(
    endpoint: str, epochs: Counters | SqlEpochs | FileCounters, *, ttl: float = TTL
) -> AbstractAsyncContextManager[EtcdSession]:
    options = EtcdOptions(endpoints=(endpoint,), session_ttl_s=ttl, call_s=5.0)
    return open_session(options, clock=SystemClock(), epochs=epochs)


async def token_of(session: EtcdSession, name: str, *, wait: float = 0) -> int:
    """Of one acquisition."""
    async with EtcdLocks(session).hold(name, holder="tester", ttl=session.channel.options.session_ttl_s, wait=wait) as held:
        held.check()
        return held.token


def instance(name: str) -> Instance:
    return Instance(group="g", id=name)


def held_keys(etcd: EtcdServer) -> int:
    return etcd.keys(f"{PREFIX}locks/")


async def test_tokens_and_incarnations_grow_over_a_restore_that_sets_revisions_back(
    etcd: EtcdServer, tmp_path: Path, tell: Tell
) -> None:
    async with (
        open_coordination(tmp_path / "coordination.sqlite") as database,
        opened(etcd.endpoint, SqlEpochs(database), ttl=60) as idle,
        opened(etcd.endpoint, SqlEpochs(database), ttl=60) as busy,
    ):
        before = [await token_of(idle, "m")]
        etcd.snapshot(tmp_path / "snapshot")
        before += [await token_of(busy, "m") for _ in range(20)]
        async with EtcdMembership(busy).join(instance("i"), ttl=60) as joined:
            incarnation = joined.instance.incarnation
        revision = etcd.revision()
        async with EtcdLocks(busy).hold("after the snapshot", holder="busy", ttl=60, wait=0) as forgotten:
            etcd.restore(tmp_path / "snapshot")
            assert etcd.revision() < revision
            await asyncio.wait_for(forgotten.lost(), PATIENCE_S)
        # The idle one saw only revisions that etcd has again; it must not trust them.
        after = [await token_of(session, "m") for session in (idle, busy, idle, busy)]
        async with opened(etcd.endpoint, SqlEpochs(database)) as new:
            after.append(await token_of(new, "m"))
            async with EtcdMembership(new).join(instance("i"), ttl=TTL) as joined:
                assert joined.instance.incarnation > incarnation
        tokens = before + after
        fell = sum(later <= former for former, later in pairwise(tokens))
        tell(f"etcd restored from a snapshot: {len(tokens)} tokens over it", tokens_that_fell=fell)


async def test_an_acquisition_under_way_while_etcd_is_restored_gets_no_token_of_the_past(
    etcd: EtcdServer, epochs: Counters, tmp_path: Path, tell: Tell
) -> None:
    async with opened(etcd.endpoint, epochs, ttl=60) as asking, opened(etcd.endpoint, epochs, ttl=60) as busy:
        await token_of(asking, "m")
        etcd.snapshot(tmp_path / "snapshot")
        before = [await token_of(busy, "m") for _ in range(10)]
        await token_of(asking, "another")  # it goes by the store's epoch, which is that of the snapshot
        etcd.pause()
        under_way = asyncio.create_task(token_of(asking, "m"))
        await asyncio.sleep(0.3)
        etcd.kill()
        await asyncio.to_thread(etcd.restore, tmp_path / "snapshot")
        token = await asyncio.wait_for(under_way, PATIENCE_S)
        tell("etcd restored under a request for a lock", tokens_that_fell=int(token <= before[-1]))


async def test_a_watcher_sees_what_changed_while_the_history_was_compacted_under_it(
    etcd: EtcdServer, epochs: Counters, tell: Tell
) -> None:
    async with opened(etcd.endpoint, epochs) as session:
        membership = EtcdMembership(session)
        watch = aiter(membership.watch("g"))
        assert await anext(watch) == []
        async with membership.join(instance("gone again"), ttl=TTL):
            pass
        async with membership.join(instance("there"), ttl=TTL) as there:
            etcd.ctl("compact", str(etcd.revision()))  # the watch that is made now begins before the oldest revision
            assert await asyncio.wait_for(anext(watch), PATIENCE_S) == [there.instance]
            etcd.ctl("put", "/another", "change")
            etcd.ctl("compact", str(etcd.revision()))  # and now under the watch that stands
        assert await asyncio.wait_for(anext(watch), PATIENCE_S) == []
        tell("etcd's history compacted under a watch", changes_missed=0)


async def test_a_watcher_whose_connection_is_cut_misses_no_change(etcd: EtcdServer, epochs: Counters, tell: Tell) -> None:
    with cutting_proxy(etcd.endpoint) as proxy:
        async with opened(proxy.address, epochs) as watching, opened(etcd.endpoint, epochs) as changing:
            seen: asyncio.Queue[Sequence[str]] = asyncio.Queue()

            async def watch() -> None:
                async for present in EtcdMembership(watching).watch("g"):
                    seen.put_nowait([member.id for member in present])

            watcher = asyncio.create_task(watch())
            assert await asyncio.wait_for(seen.get(), PATIENCE_S) == []
            for name in ("a", "b", "c"):
                assert proxy.cut() > 0
                async with EtcdMembership(changing).join(instance(name), ttl=TTL):
                    assert await asyncio.wait_for(seen.get(), PATIENCE_S) == [name]
                assert await asyncio.wait_for(seen.get(), PATIENCE_S) == []
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            tell("a watch of etcd cut 3 times", changes_missed=0, changes_told_twice=seen.qsize())


async def test_a_waiter_whose_connection_is_cut_gets_the_lock_when_it_is_released(
    etcd: EtcdServer, epochs: Counters, tell: Tell
) -> None:
    with cutting_proxy(etcd.endpoint) as proxy:
        async with opened(proxy.address, epochs) as waiting, opened(etcd.endpoint, epochs) as holding:
            async with EtcdLocks(holding).hold("w", holder="first", ttl=TTL, wait=0) as first:
                waiter = asyncio.create_task(token_of(waiting, "w", wait=PATIENCE_S))
                await asyncio.sleep(0.3)
                assert proxy.cut() > 0
            assert await asyncio.wait_for(waiter, PATIENCE_S) > first.token
    tell("a waiter's connection to etcd cut: it gets the lock in its turn", keys_left=held_keys(etcd))


async def test_a_waiter_that_was_cancelled_or_killed_leaves_no_key(
    etcd: EtcdServer, epochs: Counters, tmp_path: Path, tell: Tell
) -> None:
    async with opened(etcd.endpoint, epochs) as session:
        async with EtcdLocks(session).hold("contended", holder="first", ttl=TTL, wait=0):
            waiters = [asyncio.create_task(token_of(session, "contended", wait=PATIENCE_S)) for _ in range(5)]
            with lock_worker((etcd.endpoint,), tmp_path, "killed", ttl=2.0, patience=60) as worker:
                await until(lambda: held_keys(etcd) == 7)
                for waiter in waiters:
                    waiter.cancel()
                await asyncio.gather(*waiters, return_exceptions=True)
                assert held_keys(etcd) == 2
                worker.process.kill()
                await until(lambda: held_keys(etcd) == 1)
        tell("waiters for a lock in etcd cancelled and killed", keys_left=held_keys(etcd))


async def test_a_holder_that_stood_still_past_its_lease_does_nothing_more_and_another_goes_on(
    etcd: EtcdServer, tmp_path: Path, tell: Tell
) -> None:
    with stopped_holder(etcd, tmp_path) as (worker, stopped_at):
        async with (
            opened(etcd.endpoint, FileCounters(tmp_path / "epochs")) as session,
            EtcdLocks(session).hold("contended", holder="second", ttl=TTL, wait=PATIENCE_S) as held,
        ):
            taken_at = time.monotonic()
            assert taken_at - stopped_at < 2.0 + 4.0  # its ttl, and what etcd takes to notice
            worker.resume()
            await until(lambda: "LOCK_LOST" in worker.errors())
            held.check()
            steps = worker.steps()
            assert all(token < held.token for _, token, _ in steps)
            late = sum(at >= taken_at for _, _, at in steps)
            tell(f"a holder stopped past its lease: another after {taken_at - stopped_at:.1f} s", acts_without_lock=late)
        await until(lambda: worker.episodes()[-1].token > held.token)  # with a new lease it gets the lock again


@contextmanager
def stopped_holder(etcd: EtcdServer, folder: Path) -> Iterator[tuple[Worker, float]]:
    """A process that holds `contended` for good and was stopped by SIGSTOP in the middle of its work; when that was."""
    with lock_worker((etcd.endpoint,), folder, "first", ttl=2.0, patience=PATIENCE_S, hold=0) as worker:
        deadline = time.monotonic() + 2 * PATIENCE_S
        while len(worker.steps()) < 50:
            assert time.monotonic() < deadline, worker.errors()
            time.sleep(0.02)
        worker.pause()
        yield worker, time.monotonic()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until `holds()`."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.05)


async def test_what_a_request_left_behind_that_was_given_up_is_deleted_with_the_next_renewal(
    etcd: EtcdServer, epochs: Counters
) -> None:
    async with opened(etcd.endpoint, epochs, ttl=2.0) as session:
        lease = await session.lease(2.0)
        etcd.ctl("put", f"{PREFIX}locks/stale/{lease.number:016x}-99", "nobody", f"--lease={lease.number:x}")
        with pytest.raises(Aborted, match="nobody"):
            await token_of(session, "stale")
        assert await token_of(session, "stale", wait=PATIENCE_S) > 0
