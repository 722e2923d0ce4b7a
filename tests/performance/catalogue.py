"""Which benchmarks there are: every `tests/performance/<area>/bench_*.py` and the benches that it lists."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from tests.performance.benchmark import Bench

HERE = Path(__file__).parent


def areas() -> list[str]:
    """The areas that have benchmarks."""
    return sorted({path.parent.name for path in HERE.glob("*/bench_*.py")})


def benches(area: str) -> Iterator[Bench]:
    """The benches of one area, in the order of their files."""
    for path in sorted((HERE / area).glob("bench_*.py")):
        yield from importlib.import_module(f"tests.performance.{area}.{path.stem}").BENCHES
