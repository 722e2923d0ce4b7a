"""Many clients at once: models do not wait for each other, and nobody who waits for one model is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.testing.lifecycle_stage import Shelf, Stage, staged
from tests.performance.benchmark import AtLeast, AtMost, Bench, Benchmark, Length
from tests.performance.lifecycle.crowds import CLIENTS, ModelEach, OneModel, UnrelatedRows
from tests.performance.lifecycle.places import CLOCK, Place, on_sqlite
from tests.performance.measures import rate_async


@asynccontextmanager
async def parallel(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """A client a model, all of them through one coordinator."""
    async with on_sqlite() as place, at_work(place, state="registered") as stage:
        each = length.of(10, 2)
        bare = UnrelatedRows(stage, each)
        await bare.begin()
        yield [
            Benchmark(
                name="models_parallel",
                unit="commits/s",
                value=rate_async(ModelEach(stage, each).round),
                baseline=rate_async(bare.round),
                target=AtLeast(0.8),
                alike={"clients": (CLIENTS, CLIENTS), "database": (id(stage.work), id(place.work))},
            )
        ]


@asynccontextmanager
async def fair(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """All clients want the same model at the same time."""
    async with on_sqlite() as place, at_work(place, state="serving") as stage:
        yield [
            Benchmark(
                name="model_fair",
                unit="x the mean wait",
                value=OneModel(stage, length.of(CLIENTS, 8)).longest_to_mean,
                baseline=None,
                target=AtMost(3.0, of="value"),
            )
        ]


@asynccontextmanager
async def at_work(place: Place, *, state: str) -> AsyncIterator[Stage]:
    """A coordinator with all its background work, whose versions begin in `state`."""
    async with open_coordination(place.folder / "coordination.sqlite") as coordination:
        locks = SqlLocks(coordination, CLOCK)
        async with staged(place.work, place.work.feed, locks, CLOCK, shelf=Shelf(state=state)) as stage:
            yield stage


BENCHES: tuple[Bench, ...] = (parallel, fair)
