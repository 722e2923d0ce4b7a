"""What a saga costs beside the commits that it cannot do without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import open_session
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.platform.locks import Locks
from synapsenet.testing.lifecycle_stage import Shelf, Stage, staged
from tests.contract.etcd.counters import Counters
from tests.etcd_server import etcd_server
from tests.performance.benchmark import AtMost, Bench, Benchmark, Length, Measure
from tests.performance.lifecycle.empty_sagas import COMMITS, STEPS, WITH_EMPTY, Commits, EmptySagas, ItsCommits
from tests.performance.lifecycle.places import CLOCK, Place, on_postgres, on_sqlite
from tests.performance.measures import mean_ms_async

QUIET = LifecycleOptions(sweep_s=3_600.0)
"""What goes on now and then beside sagas does not count as theirs."""


@asynccontextmanager
async def commits(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """How often the coordinator's database commits, whoever has it do so, while sagas run one after the other."""
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(on_sqlite())
        coordination = await stack.enter_async_context(open_coordination(place.folder / "coordination.sqlite"))
        stage = await stack.enter_async_context(at_work(place, SqlLocks(coordination, CLOCK)))
        counted, sagas = Commits(), EmptySagas(stage)
        await sagas.run()  # the first one also adopts the version
        stack.enter_context(counted.of(place.work.database.engines[0]))
        yield [
            Benchmark(
                name="saga_commits",
                unit="commits",
                value=each(counted, sagas.run, length.of(20, 1)),
                baseline=None,
                target=AtMost(COMMITS, of="value"),
            )
        ]


@asynccontextmanager
async def postgres(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """As in a cluster: records in PostgreSQL, locks in etcd; from the wish until whoever waits is told of the end."""
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(on_postgres())
        etcd = EtcdOptions(endpoints=(stack.enter_context(etcd_server()).endpoint,))
        session = await stack.enter_async_context(open_session(etcd, clock=CLOCK, epochs=Counters()))
        stage = await stack.enter_async_context(at_work(place, EtcdLocks(session)))
        bare = ItsCommits(place.work)
        await bare.begin()
        calls = length.of(20, 1)
        yield [
            Benchmark(
                name="saga_postgres",
                unit="ms",
                value=mean_ms_async(EmptySagas(stage).run, calls),
                baseline=mean_ms_async(bare.run, calls),
                target=AtMost(1.5),
                alike={"commits": (STEPS + 1, COMMITS), "database": (id(place.work), id(stage.work))},
            )
        ]


@asynccontextmanager
async def at_work(place: Place, locks: Locks) -> AsyncIterator[Stage]:
    """A coordinator whose one version serves, with all its background work."""
    async with staged(
        place.work,
        place.work.feed,
        locks,
        CLOCK,
        shelf=Shelf(state="serving"),
        sagas=WITH_EMPTY,
        options=QUIET,
    ) as stage:
        yield stage


def each(counted: Commits, call: Callable[[], Awaitable[None]], calls: int) -> Measure:
    """Commits a call, over `calls` of them."""

    async def measured() -> float:
        before = counted.count
        for _ in range(calls):
            await call()
        return (counted.count - before) / calls

    return measured


BENCHES: tuple[Bench, ...] = (commits, postgres)
