"""What a transition costs beside its bare statements."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

from tests.performance.benchmark import AtMost, Bench, Benchmark, Length
from tests.performance.lifecycle.places import Place, on_postgres, on_sqlite
from tests.performance.lifecycle.transitions import BareSwinging, Swinging
from tests.performance.measures import mean_ms, mean_ms_async


@asynccontextmanager
async def sqlite(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """One caller, one transition at a time."""
    async with on_sqlite() as place, transitions("transition_sqlite", place, length) as benchmarks:
        yield benchmarks


@asynccontextmanager
async def postgres(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """One caller, one transition at a time; the sequencer gives positions meanwhile, as it always does."""
    async with on_postgres() as place, transitions("transition_postgres", place, length) as benchmarks:
        yield benchmarks


@asynccontextmanager
async def transitions(name: str, place: Place, length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """A version that goes back and forth between two states, on both sides."""
    ours = Swinging(place.work)
    await ours.begin()
    calls = length.of(200, 5)
    with closing(BareSwinging(place.bare)) as bare:
        yield [
            Benchmark(
                name=name,
                unit="ms",
                value=mean_ms_async(ours.swing, calls),
                baseline=mean_ms(bare.swing, calls),
                target=AtMost(1.5),
                alike=place.alike,
            )
        ]


BENCHES: tuple[Bench, ...] = (sqlite, postgres)
