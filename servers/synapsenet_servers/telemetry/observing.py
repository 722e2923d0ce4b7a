"""Gauges and their sources: parts of the platform that can be asked, from whatever thread the asking comes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from synapsenet_servers.telemetry.instruments import Gauge, Labels, Read

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

_ANSWER_WITHIN_S = 1.0


class Gauges:
    """The gauges of one process. Sources are asked on the event loop on which they were added: they need no locks."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._sources: dict[str, list[_Source]] = {}

    @contextmanager
    def observing(self, gauge: Gauge, read: Read) -> Iterator[None]:
        """Have `read` asked for `gauge` inside a `with`."""
        if gauge.name not in self._sources:
            self._sources[gauge.name] = []
            self._create(gauge)
        source = _Source(read)
        self._sources[gauge.name].append(source)
        try:
            yield
        finally:
            self._sources[gauge.name].remove(source)

    def _create(self, gauge: Gauge) -> None:
        sources = self._sources[gauge.name]

        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            from opentelemetry.metrics import Observation

            return [Observation(value, dict(labels)) for source in tuple(sources) for value, labels in source.ask()]

        create: Any = self._meter.create_observable_counter if gauge.grows else self._meter.create_observable_gauge
        create(gauge.name, callbacks=[observe], unit=gauge.unit, description=gauge.meaning)


class _Source:
    """Something to ask, and the event loop on which it lives, if it lives on one."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._thread = threading.get_ident()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def ask(self) -> Sequence[tuple[float, Labels]]:
        """What it says; nothing if its loop is closed or too busy to answer."""
        if self._loop is None or threading.get_ident() == self._thread:
            return list(self._read())
        answer: Future[Sequence[tuple[float, Labels]]] = Future()
        try:
            self._loop.call_soon_threadsafe(self._answer, answer)
            return answer.result(_ANSWER_WITHIN_S)
        except (RuntimeError, TimeoutError):
            return []

    def _answer(self, answer: Future[Sequence[tuple[float, Labels]]]) -> None:
        try:
            answer.set_result(list(self._read()))
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
            answer.set_exception(error)
