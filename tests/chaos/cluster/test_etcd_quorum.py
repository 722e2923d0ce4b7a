"""A cluster of three etcd members that loses some: locks go on with two, and nobody believes to hold one with one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.membership import EtcdMembership
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import open_session
from synapsenet.clock import SystemClock
from synapsenet.errors import Aborted, Unavailable
from synapsenet.platform.locks import Held
from synapsenet.platform.membership import Instance
from tests.chaos.cluster.lock_history import Episode, longest_gap, violations
from tests.chaos.cluster.lock_worker import Worker, lock_worker
from tests.chaos.conftest import Tell
from tests.contract.etcd.counters import Counters
from tests.etcd_server import EtcdCluster, etcd_cluster

AWAY_S = 5.0
TTL = 6.0
WORKERS = 3
KILLS = int(os.environ.get("CHAOS_ETCD_KILLS", "1"))
START_S = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    with etcd_cluster(3) as running:
        yield running


def all_episodes(workers: list[Worker]) -> list[Episode]:
    return [episode for worker in workers for episode in worker.episodes()]


def wait_for_episodes(workers: list[Worker], count: int, *, after: float = 0.0, seconds: float = START_S) -> float:
    """Until every worker held the lock `count` times after an instant; how long it took."""
    begun = time.monotonic()
    while not all(sum(episode.since > after for episode in worker.episodes()) >= count for worker in workers):
        assert time.monotonic() < begun + seconds, [worker.errors() for worker in workers]
        time.sleep(0.05)
    return time.monotonic() - begun


def test_locks_go_on_within_five_seconds_when_the_leader_is_killed_and_never_two_hold_one(
    cluster: EtcdCluster, tmp_path: Path, tell: Tell
) -> None:
    with ExitStack() as stack:
        workers = [
            stack.enter_context(lock_worker(cluster.endpoints, tmp_path, f"worker-{number}", ttl=TTL))
            for number in range(WORKERS)
        ]
        wait_for_episodes(workers, 5)
        kills = []
        for _ in range(KILLS):
            leader = cluster.leader()
            leader.kill()
            kills.append(time.monotonic())
            wait_for_episodes(workers, 5, after=kills[-1])
            leader.start()
        wait_for_episodes(workers, 2, after=time.monotonic())
        end = time.monotonic()
    history = all_episodes(workers)
    assert list(violations(history)) == []
    gap = max(longest_gap(history, begin=kill, end=end) for kill in kills)
    assert gap < AWAY_S
    lost = [error for worker in workers for error in worker.errors() if error == "LOCK_LOST"]
    tell(f"etcd's leader killed: {len(history)} acquisitions, again within {gap:.1f} s", two_holders=0, locks_lost=len(lost))


async def lost_at(held: Held) -> float:
    await held.lost()
    return time.monotonic()


async def test_without_a_quorum_holders_lose_in_time_nobody_gets_a_lock_and_members_are_still_read(
    cluster: EtcdCluster, tell: Tell
) -> None:
    options = EtcdOptions(endpoints=cluster.endpoints, session_ttl_s=3.0, attempt_s=0.5, call_s=1.5)
    leader = cluster.leader()  # who goes on to renew leases for a while, though nobody follows it any more
    followers = [server for server in cluster.servers if server is not leader]
    async with open_session(options, clock=SystemClock(), epochs=Counters()) as session:
        locks, membership = EtcdLocks(session), EtcdMembership(session)
        async with (
            locks.hold("kept", holder="me", ttl=3.0, wait=0) as held,
            membership.join(Instance(group="g", id="i"), ttl=3.0),
        ):
            for server in followers:
                server.kill()
            killed = time.monotonic()
            loss = asyncio.create_task(lost_at(held))
            try:
                with pytest.raises(Unavailable) as refusal:
                    async with locks.hold("other", holder="me", ttl=3.0, wait=0):
                        pytest.fail("a lock without a quorum")
                assert refusal.value.reason == "ETCD_UNAVAILABLE"
                assert [member.id for member in await membership.instances("g")] == ["i"]
                # The lease lives for 3 s from the sending of its last renewal; the rest is the test's own busy machine.
                told_after = await asyncio.wait_for(loss, 10) - killed
                assert told_after < 3.0 + 0.5
                with pytest.raises(Aborted):
                    held.check()
            finally:
                for server in followers:
                    server.launch()
                for server in followers:
                    server.wait()
        async with locks.hold("kept", holder="me", ttl=3.0, wait=10) as again:
            assert again.token > held.token
        fault = f"etcd without a quorum: ETCD_UNAVAILABLE, the holder told in {told_after:.1f} s of 3, members still read"
        tell(fault, locks_without_quorum=0)


async def test_a_member_that_hangs_is_left_for_another(cluster: EtcdCluster, tell: Tell) -> None:
    hanging = next(server for server in cluster.servers if not server.is_leader())
    endpoints = [server.endpoint for server in cluster.servers if server is not hanging]
    endpoints.insert(os.getpid() % 3, hanging.endpoint)  # the one that this process begins with
    options = EtcdOptions(endpoints=tuple(endpoints), session_ttl_s=TTL, attempt_s=0.5)
    async with open_session(options, clock=SystemClock(), epochs=Counters()) as session:
        locks = EtcdLocks(session)
        async with locks.hold("before", holder="me", ttl=TTL, wait=0) as held:
            hanging.pause()
            try:
                begun = time.monotonic()
                async with locks.hold("a", holder="me", ttl=TTL, wait=0) as other:
                    taken = time.monotonic() - begun
                    assert taken < 3.0
                    other.check()
                await asyncio.sleep(0.5)
                held.check()
                tell(f"a member of etcd hangs (SIGSTOP): another is asked in {taken:.1f} s", locks_lost=0)
            finally:
                hanging.resume()
