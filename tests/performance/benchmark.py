"""What a benchmark is, how its rounds are run, and the line it ends in."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import math
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal

FEWEST_ROUNDS = 5

# One round's figure, in the benchmark's unit.
Measure = Callable[[], float | Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Samples:
    """The figures of all rounds; without a baseline there are none of it and no ratio."""

    values: Sequence[float]
    baselines: Sequence[float] = ()

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def baseline(self) -> float | None:
        return statistics.median(self.baselines) if self.baselines else None

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.baseline else None


class Condition(ABC):
    """Something that a line promises."""

    @abstractmethod
    def text(self, unit: str) -> str:
        """The promise, for the line's `target`."""

    @abstractmethod
    def holds(self, samples: Samples) -> bool: ...


@dataclass(frozen=True, slots=True)
class Bound(Condition):
    """A limit on the ratio or, with `of="value"`, on the value in the benchmark's unit."""

    limit: float
    of: Literal["ratio", "value"] = "ratio"

    def figure(self, samples: Samples) -> float:
        figure = samples.ratio if self.of == "ratio" else samples.value
        return math.nan if figure is None else figure  # nan is within no bound

    def phrase(self, sign: str, unit: str) -> str:
        return f"ratio {sign} {self.limit:g}" if self.of == "ratio" else f"value {sign} {self.limit:g} {unit}"


class AtMost(Bound):
    """No more than `limit`."""

    def text(self, unit: str) -> str:
        return self.phrase("<=", unit)

    def holds(self, samples: Samples) -> bool:
        return self.figure(samples) <= self.limit


class AtLeast(Bound):
    """No less than `limit`."""

    def text(self, unit: str) -> str:
        return self.phrase(">=", unit)

    def holds(self, samples: Samples) -> bool:
        return self.figure(samples) >= self.limit


@dataclass(frozen=True, slots=True)
class Observed(Condition):
    """What else is stated for the line, said in `words` and looked at after the last round."""

    words: str
    seen: Callable[[], bool]

    def text(self, unit: str) -> str:
        return self.words

    def holds(self, samples: Samples) -> bool:
        return self.seen()


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One line of `make perf`.

    Attributes:
        name: unique among all areas.
        unit: of value and baseline, the one in which the target is stated: `ms`, `rows/s`. Where the target says how much
            faster something is, measure rates, so that the ratio grows with what is good.
        value: measures ours for one round.
        baseline: measures for one round what ours is compared with; None where only the value is bounded.
        target: the bound that gives the line its name.
        also: whatever else is stated for the line; `holds` covers all of it.
        alike: what value and baseline must have in common to be comparable (durability, serializer, channel arguments), by
            name, each as read from the value's side and from the baseline's. A test compares them.
        rounds: how often both are measured, one round of each in turn.
        seconds: after this time no further round is begun, once there are 5.
    """

    name: str
    unit: str
    value: Measure
    baseline: Measure | None
    target: Condition
    also: Sequence[Condition] = ()
    alike: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    rounds: int = 15
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Length:
    """How much is measured: `FULL` for figures, `SHORT` only to see that the benchmark runs."""

    is_full: bool

    def of(self, full: int, short: int) -> int:
        """How many calls, rows or rounds to take."""
        return full if self.is_full else short


FULL = Length(True)
SHORT = Length(False)

# A set-up that yields the benchmarks it serves; a module `bench_*.py` lists its own as BENCHES.
Bench = Callable[[Length], AbstractAsyncContextManager[Sequence[Benchmark]]]


async def measure(benchmark: Benchmark, length: Length, *, clock: Callable[[], float] = time.monotonic) -> Samples:
    """Run the rounds: one of each side to warm up, then both in turn, each going first in every other round."""
    values: list[float] = []
    baselines: list[float] = []
    sides = [(benchmark.value, values)]
    if benchmark.baseline is not None:
        sides.append((benchmark.baseline, baselines))
    for side, _ in sides:
        await once(side)
    end = clock() + benchmark.seconds
    rounds = length.of(benchmark.rounds, 1)
    while len(values) < rounds and (len(values) < FEWEST_ROUNDS or clock() < end):
        for side, figures in sides if len(values) % 2 == 0 else sides[::-1]:
            gc.collect()
            await asyncio.sleep(0)  # lets the area's time limit end measures that never await
            figures.append(await once(side))
    return Samples(values, baselines)


async def once(side: Measure) -> float:
    figure = side()
    return float(await figure if inspect.isawaitable(figure) else figure)


def line(benchmark: Benchmark, samples: Samples) -> str:
    """The JSON object that `make perf` prints."""
    conditions = (benchmark.target, *benchmark.also)
    return json.dumps(
        {
            "name": benchmark.name,
            "value": rounded(samples.value),
            "unit": benchmark.unit,
            "baseline": rounded(samples.baseline),
            "ratio": rounded(samples.ratio),
            "target": " and ".join(condition.text(benchmark.unit) for condition in conditions),
            "holds": all(condition.holds(samples) for condition in conditions),
            "rounds": len(samples.values),
        },
        allow_nan=False,
    )


def rounded(figure: float | None) -> float | None:
    """Four significant digits: more would be noise."""
    return None if figure is None else float(f"{figure:.4g}")
