"""Gauges: sources are asked on their own event loop, whatever thread asks; a source that is gone says nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from contextlib import ExitStack

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from synapsenet_servers.telemetry.instruments import CHILDREN, MEMORY, THREADS, UPTIME, Labels
from synapsenet_servers.telemetry.observing import Gauges
from synapsenet_servers.telemetry.process_metrics import process_gauges


def read(reader: InMemoryMetricReader) -> dict[str, list[tuple[float, Labels]]]:
    """What a reader sees, by the metric's name."""
    seen: dict[str, list[tuple[float, Labels]]] = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else []:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points = [point for point in metric.data.data_points if isinstance(point, NumberDataPoint)]
                seen[metric.name] = [
                    (point.value, {k: str(v) for k, v in (point.attributes or {}).items()}) for point in points
                ]
    return seen


def opened() -> tuple[Gauges, InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    return Gauges(MeterProvider([reader], shutdown_on_exit=False).get_meter("test")), reader


async def test_a_source_is_asked_on_the_loop_on_which_it_was_added() -> None:
    gauges, reader = opened()
    threads = []

    def ask() -> Iterable[tuple[float, Labels]]:
        threads.append(threading.current_thread())
        return [(3.0, {"state": "ready"})]

    with gauges.observing(CHILDREN, ask):
        seen = await asyncio.to_thread(read, reader)

    assert seen[CHILDREN.name] == [(3.0, {"state": "ready"})]
    assert threads == [threading.main_thread()]


async def test_sources_of_one_gauge_stand_beside_each_other_until_they_go() -> None:
    gauges, reader = opened()
    with gauges.observing(CHILDREN, lambda: [(1.0, {"of": "a"})]):
        with gauges.observing(CHILDREN, lambda: [(2.0, {"of": "b"})]):
            assert sorted(value for value, _ in read(reader)[CHILDREN.name]) == [1.0, 2.0]
        assert read(reader)[CHILDREN.name] == [(1.0, {"of": "a"})]
    assert CHILDREN.name not in read(reader)


def test_a_source_whose_loop_is_closed_says_nothing() -> None:
    gauges, reader = opened()
    source = gauges.observing(CHILDREN, lambda: [(1.0, {})])

    async def add() -> None:
        source.__enter__()

    asyncio.run(add())
    seen: list[dict[str, list[tuple[float, Labels]]]] = []
    asker = threading.Thread(target=lambda: seen.append(read(reader)))
    asker.start()
    asker.join(10.0)

    assert [CHILDREN.name in each for each in seen] == [False]


def test_a_process_tells_what_it_costs() -> None:
    gauges, reader = opened()
    with ExitStack() as stack:
        for gauge, ask in process_gauges():
            stack.enter_context(gauges.observing(gauge, ask))
        seen = read(reader)

    assert {labels["cpu.mode"] for _, labels in seen["process.cpu.time"]} == {"user", "system"}
    assert seen[MEMORY.name][0][0] > 10 << 20
    assert seen[THREADS.name][0][0] >= 1
    assert seen["process.unix.file_descriptor.count"][0][0] >= 3
    assert seen[UPTIME.name][0][0] >= 0
