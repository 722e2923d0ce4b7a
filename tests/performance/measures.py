"""Ways to get one round's figure from a call."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable

from tests.performance.benchmark import Measure

Clock = Callable[[], float]
AsyncCall = Callable[[], Awaitable[object]]


def mean_ms(call: Callable[[], object], calls: int, *, clock: Clock = time.perf_counter) -> Measure:
    """Milliseconds a call, over `calls` calls one after the other."""

    def measured() -> float:
        start = clock()
        for _ in range(calls):
            call()
        return (clock() - start) * 1e3 / calls

    return measured


def mean_ms_async(call: AsyncCall, calls: int, *, clock: Clock = time.perf_counter) -> Measure:
    """Milliseconds a call, over `calls` awaited calls one after the other."""

    async def measured() -> float:
        start = clock()
        for _ in range(calls):
            await call()
        return (clock() - start) * 1e3 / calls

    return measured


def quantile_ms_async(call: AsyncCall, calls: int, quantile: float, *, clock: Clock = time.perf_counter) -> Measure:
    """The `quantile` (0.5 is the median, 0.99 the p99) of `calls` awaited calls' milliseconds."""

    async def measured() -> float:
        taken = []
        for _ in range(calls):
            start = clock()
            await call()
            taken.append((clock() - start) * 1e3)
        return statistics.quantiles(taken, n=1000, method="inclusive")[round(quantile * 1000) - 1]

    return measured


def rate(work: Callable[[], int], *, clock: Clock = time.perf_counter) -> Measure:
    """What `work` did (its answer) a second."""

    def measured() -> float:
        start = clock()
        done = work()
        return done / (clock() - start)

    return measured


def rate_async(work: Callable[[], Awaitable[int]], *, clock: Clock = time.perf_counter) -> Measure:
    """What the awaited `work` did (its answer) a second."""

    async def measured() -> float:
        start = clock()
        done = await work()
        return done / (clock() - start)

    return measured
