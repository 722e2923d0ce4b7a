"""Rounds are paired and interleaved, medians are compared, and a line says exactly what it promises."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from tests.performance.__main__ import run_area
from tests.performance.benchmark import FULL, SHORT, AtLeast, AtMost, Benchmark, Length, Observed, Samples, line, measure, once
from tests.performance.measures import mean_ms, mean_ms_async, quantile_ms_async, rate, rate_async


@pytest.fixture(scope="module", autouse=True)
def _no_older_garbage() -> Iterator[None]:
    """Each round collects garbage: let it be that of these tests, not of all that ran before them."""
    gc.freeze()
    yield
    gc.unfreeze()


def benchmark(**changes: Any) -> Benchmark:
    """A benchmark of constants, but for `changes`."""
    constant = Benchmark(name="b", unit="ms", value=lambda: 3.0, baseline=lambda: 2.0, target=AtMost(1.5), rounds=5)
    return replace(constant, **changes)


def ticking(step: float) -> Callable[[], float]:
    """A clock that goes on by `step` seconds each time it is read."""
    ticks: Iterator[int] = count()
    return lambda: next(ticks) * step


def recorder(calls: list[str], side: str) -> Callable[[], float]:
    def measured() -> float:
        calls.append(side)
        return 1.0

    return measured


async def test_both_sides_warm_up_and_then_take_turns_in_going_first() -> None:
    calls: list[str] = []

    await measure(benchmark(value=recorder(calls, "v"), baseline=recorder(calls, "b"), rounds=4), FULL)

    assert "".join(calls) == "vb" + "vb" + "bv" + "vb" + "bv"


async def test_the_warm_up_does_not_count_and_medians_are_compared() -> None:
    values = iter([1000.0, 3.0, 90.0, 4.0])
    baselines = iter([1000.0, 2.0, 2.0, 0.1])

    samples = await measure(benchmark(value=lambda: next(values), baseline=lambda: next(baselines), rounds=3), FULL)

    assert (samples.value, samples.baseline, samples.ratio) == (4.0, 2.0, 2.0)


async def test_an_awaited_measure_is_awaited() -> None:
    async def value() -> float:
        return 7.0

    assert (await measure(benchmark(value=value), FULL)).value == 7.0


async def test_no_round_begins_after_the_time_is_over_once_there_are_five() -> None:
    endless = benchmark(rounds=1000, seconds=10.0)

    assert len((await measure(endless, FULL, clock=ticking(100.0))).values) == 5
    assert len((await measure(endless, FULL, clock=ticking(1.0))).values) == 5 + 9


async def test_a_short_run_has_one_round() -> None:
    assert len((await measure(benchmark(rounds=30), SHORT)).values) == 1


@pytest.mark.parametrize(
    ("condition", "samples", "holds"),
    [
        (AtMost(1.5), Samples([3.0], [2.0]), True),
        (AtMost(1.5), Samples([3.1], [2.0]), False),
        (AtLeast(0.8), Samples([8.0], [10.0]), True),
        (AtLeast(0.8), Samples([7.9], [10.0]), False),
        (AtMost(500, of="value"), Samples([500.0]), True),
        (AtMost(500, of="value"), Samples([501.0], [1.0]), False),
        (AtLeast(2, of="value"), Samples([1.0]), False),
        (AtMost(1.5), Samples([3.0]), False),
        (AtLeast(0.8), Samples([3.0], [0.0]), False),
    ],
)
def test_a_bound_holds_only_on_its_side(condition: AtMost | AtLeast, samples: Samples, holds: bool) -> None:
    assert condition.holds(samples) is holds


def test_a_line_has_every_field_in_order() -> None:
    printed = line(benchmark(), Samples([3.00004, 3.0, 3.0], [2.0, 2.0, 2.0]))

    assert list(json.loads(printed).items()) == [
        ("name", "b"),
        ("value", 3.0),
        ("unit", "ms"),
        ("baseline", 2.0),
        ("ratio", 1.5),
        ("target", "ratio <= 1.5"),
        ("holds", True),
        ("rounds", 3),
    ]


@pytest.mark.parametrize(("seen", "holds"), [(True, True), (False, False)])
def test_holds_covers_every_condition_stated(seen: bool, holds: bool) -> None:
    conditions = (AtMost(500, of="value"), Observed("memory flat within 5 %", lambda: seen))
    shown = json.loads(line(benchmark(target=AtLeast(1), also=conditions), Samples([3.0], [2.0])))

    assert shown["target"] == "ratio >= 1 and value <= 500 ms and memory flat within 5 %"
    assert shown["holds"] is holds


def test_a_line_without_a_baseline_says_so() -> None:
    alone = benchmark(baseline=None, target=AtMost(2, of="value"), unit="s")
    shown = json.loads(line(alone, Samples([1.5])))

    assert shown["baseline"] is shown["ratio"] is None
    assert shown["target"] == "value <= 2 s"


async def test_measures_divide_by_the_calls_they_made() -> None:
    async def call() -> int:
        return 30

    assert mean_ms(lambda: None, 4, clock=ticking(0.2))() == pytest.approx(50.0)
    assert await once(mean_ms_async(call, 4, clock=ticking(0.2))) == pytest.approx(50.0)
    assert rate(lambda: 30, clock=ticking(0.5))() == pytest.approx(60.0)
    assert await once(rate_async(call, clock=ticking(0.5))) == pytest.approx(60.0)


async def test_a_quantile_is_taken_over_single_calls() -> None:
    taken = iter([0.0, 0.001, 1.0, 1.002, 2.0, 2.003])

    async def call() -> None: ...

    assert await once(quantile_ms_async(call, 3, 0.5, clock=lambda: next(taken))) == pytest.approx(2.0)


def refused() -> float:
    raise ConnectionRefusedError("no such server")


@asynccontextmanager
async def breaking(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    yield [benchmark(value=refused)]


@asynccontextmanager
async def endless(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    yield [benchmark(rounds=10**9, seconds=1e9)]


@asynccontextmanager
async def missing_its_target(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    yield [benchmark(name="slow", target=AtMost(0.1)), benchmark(name="fine", baseline=lambda: 4.0)]


async def test_a_bench_that_cannot_run_is_counted_and_the_others_still_run(capsys: pytest.CaptureFixture[str]) -> None:
    failures = await run_area([breaking, missing_its_target], SHORT)

    printed = capsys.readouterr()
    assert failures == 1
    assert [(shown["name"], shown["holds"]) for shown in map(json.loads, printed.out.splitlines())] == [
        ("slow", False),
        ("fine", True),
    ]
    assert "breaking could not run" in printed.err
    assert "no such server" in printed.err


async def test_an_area_ends_when_its_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    failures = await run_area([endless, endless], FULL, seconds=0.05)

    printed = capsys.readouterr()
    assert failures == 2
    assert printed.out == ""
    assert printed.err == "endless could not run: the area's 0.05 s are over\n" * 2
