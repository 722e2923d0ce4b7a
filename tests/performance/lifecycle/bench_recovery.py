"""How long sagas stand still when their coordinator dies."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.chaos.lifecycle.stores import Places
from tests.etcd_server import etcd_server
from tests.performance.benchmark import FEWEST_ROUNDS, AtMost, Bench, Benchmark, Length, Observed
from tests.performance.lifecycle.recoveries import LEASE_S, Recoveries, recoveries
from tests.postgres_server import postgres_server

WITHIN_S = LEASE_S + 2.0


@asynccontextmanager
async def sqlite(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """The coordinator of one machine is begun again at once."""
    with tempfile.TemporaryDirectory() as folder, recoveries(Places(folder=Path(folder)), standing_by=False) as kills:
        yield [_benchmark("recovery", kills)]


@asynccontextmanager
async def cluster(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """On PostgreSQL and etcd another coordinator stands by."""
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres, etcd_server() as etcd:
        places = Places(folder=Path(folder), postgres=postgres.url, etcd=etcd.endpoint)
        with recoveries(places, standing_by=True) as kills:
            yield [_benchmark("recovery_cluster", kills)]


def _benchmark(name: str, kills: Recoveries) -> Benchmark:
    return Benchmark(
        name=name,
        unit="s",
        value=lambda: asyncio.to_thread(kills.seconds),
        baseline=None,
        target=AtMost(WITHIN_S, of="value"),
        also=[Observed(f"the longest <= {WITHIN_S:g} s (lease {LEASE_S:g} s + 2 s)", lambda: kills.longest <= WITHIN_S)],
        rounds=FEWEST_ROUNDS,
    )


BENCHES: tuple[Bench, ...] = (sqlite, cluster)
