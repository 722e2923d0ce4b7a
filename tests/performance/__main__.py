"""`make perf`: run the benchmarks, one JSON object a line on stdout, everything else on stderr.

The exit code says whether every benchmark could run, not whether its target holds.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import traceback
from collections.abc import Sequence

from tests.performance import catalogue
from tests.performance.benchmark import FULL, SHORT, Bench, Length, line, measure

LONGEST_AREA_S = 600.0


def main() -> int:
    known = catalogue.areas()
    arguments = argparse.ArgumentParser(prog="make perf", description=__doc__)
    arguments.add_argument("areas", nargs="*", metavar="AREA", help=f"any of {', '.join(known)}; all by default")
    arguments.add_argument("--short", action="store_true", help="one short round each: only to see that they run")
    options = arguments.parse_args()
    if unknown := sorted(set(options.areas) - set(known)):
        arguments.error(f"no benchmarks of {', '.join(unknown)}: there are {', '.join(known)}")
    length = SHORT if options.short else FULL
    failures = [asyncio.run(run_area(list(catalogue.benches(area)), length)) for area in options.areas or known]
    return 1 if any(failures) else 0


async def run_area(benches: Sequence[Bench], length: Length, *, seconds: float = LONGEST_AREA_S) -> int:
    """Print the lines of one area as they come; return how many of its benches could not run to their end."""
    failures = 0
    end = asyncio.get_running_loop().time() + seconds
    for bench in benches:
        limit = asyncio.timeout_at(end)
        try:
            async with limit:
                await run_bench(bench, length)
        except Exception:  # noqa: BLE001 - whatever it is, the other benches still run and the exit code tells
            over = f"the area's {seconds:g} s are over" if limit.expired() else traceback.format_exc()
            print(f"{bench.__name__} could not run: {over}", file=sys.stderr)
            failures += 1
    return failures


async def run_bench(bench: Bench, length: Length) -> None:
    async with bench(length) as benchmarks:
        for benchmark in benchmarks:
            print(line(benchmark, await measure(benchmark, length)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
