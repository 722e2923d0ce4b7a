"""What a lock in etcd costs beside the two transactions that it cannot do without."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aetcd import rpc

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.member import Member
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import open_session
from synapsenet.clock import SystemClock
from tests.contract.etcd.counters import Counters
from tests.etcd_server import EtcdServer, etcd_server
from tests.performance.benchmark import AtMost, Bench, Benchmark, Length
from tests.performance.measures import mean_ms_async

TIMEOUT_S = 5.0


class BareTransactions:
    """A key put under a lease if it is not there, and deleted: two transactions over the stub and nothing else."""

    def __init__(self, member: Member, lease: int) -> None:
        self.channel = member.channel
        self._transact = member.kv.Txn
        self._lease = lease
        self._numbers = itertools.count()

    async def put_and_delete(self) -> None:
        key = f"/bare/{next(self._numbers)}".encode()
        absent = rpc.Compare(key=key, target=rpc.Compare.CREATE, result=rpc.Compare.EQUAL, create_revision=0)
        put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"holder", lease=self._lease))
        await self._transact(rpc.TxnRequest(compare=[absent], success=[put]), timeout=TIMEOUT_S)
        delete = rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key))
        await self._transact(rpc.TxnRequest(success=[delete]), timeout=TIMEOUT_S)


async def writes(etcd: EtcdServer, call: Callable[[], Awaitable[None]]) -> int:
    """How many revisions of the store `call` takes."""
    before = etcd.revision()
    await call()
    return etcd.revision() - before


@asynccontextmanager
async def locks(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """One caller, one lock at a time, each with a name of its own, all under the session's lease."""
    with etcd_server() as etcd:
        options = EtcdOptions(endpoints=(etcd.endpoint,))
        async with open_session(options, clock=SystemClock(), epochs=Counters()) as session:
            locks, ttl, numbers = EtcdLocks(session), options.session_ttl_s, itertools.count()

            async def acquire_and_release() -> None:
                async with locks.hold(f"model/{next(numbers)}", holder="holder", ttl=ttl, wait=1):
                    pass

            bare = BareTransactions(session.channel.member, (await session.lease(ttl)).number)
            await acquire_and_release()
            calls = length.of(50, 5)
            yield [
                Benchmark(
                    name="lock_etcd",
                    unit="ms",
                    value=mean_ms_async(acquire_and_release, calls),
                    baseline=mean_ms_async(bare.put_and_delete, calls),
                    target=AtMost(1.5),
                    rounds=60,  # short ones: what else the disk does meets both alike
                    alike={
                        "channel": (session.channel.member.channel, bare.channel),
                        "writes": (await writes(etcd, acquire_and_release), await writes(etcd, bare.put_and_delete)),
                    },
                )
            ]


BENCHES: tuple[Bench, ...] = (locks,)
