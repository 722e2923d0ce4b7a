"""Every benchmark runs, ends in a well-formed line, and compares like with like; its figures are for `make perf`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest

from tests.performance import catalogue
from tests.performance.benchmark import SHORT, Bench, Benchmark, line, measure

BENCHES = [
    pytest.param(bench, id=f"{area}: {bench.__name__}") for area in catalogue.areas() for bench in catalogue.benches(area)
]
KEYS = ["name", "value", "unit", "baseline", "ratio", "target", "holds", "rounds"]


async def run(bench: Bench) -> Sequence[tuple[Benchmark, str]]:
    async with bench(SHORT) as benchmarks:
        return [(benchmark, line(benchmark, await measure(benchmark, SHORT))) for benchmark in benchmarks]


@pytest.mark.parametrize("bench", BENCHES)
async def test_the_bench_runs_and_prints_whole_lines_about_comparable_things(bench: Bench) -> None:
    measured = await run(bench)

    assert measured
    for benchmark, printed in measured:
        shown = json.loads(printed)
        assert list(shown) == KEYS
        assert shown["name"] == benchmark.name
        assert shown["unit"] == benchmark.unit
        assert math.isfinite(shown["value"])
        assert isinstance(shown["holds"], bool)
        assert shown["target"]
        assert shown["rounds"] == 1
        if benchmark.baseline is None:
            assert shown["baseline"] is shown["ratio"] is None
        else:
            assert shown["ratio"] == pytest.approx(shown["value"] / shown["baseline"], rel=0.01)
            assert benchmark.alike, "say what makes value and baseline comparable"
            assert {name: ours for name, (ours, _) in benchmark.alike.items()} == {
                name: theirs for name, (_, theirs) in benchmark.alike.items()
            }


def test_the_catalogue_finds_the_platform() -> None:
    assert "platform" in catalogue.areas()
    assert [bench.__name__ for bench in catalogue.benches("platform")] == ["commits", "calls"]
