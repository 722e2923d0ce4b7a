"""Telemetry kept in memory: what this process told, to be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from synapsenet_servers.telemetry.current import Telemetry, becoming
from synapsenet_servers.telemetry.instruments import Instruments
from synapsenet_servers.telemetry.observing import Gauges


@dataclass(frozen=True)
class Told:
    """What was told so far."""

    tracer: Tracer
    spans: InMemorySpanExporter
    reader: InMemoryMetricReader

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def metric(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Labels and point of each series of a metric."""
        data = self.reader.get_metrics_data()
        scopes = data.resource_metrics[0].scope_metrics if data else []
        metrics = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [(dict(point.attributes or {}), point) for metric in metrics for point in metric.data.data_points]

    def labels(self, name: str, label: str) -> set[str]:
        """The values that `label` has among the series of a metric."""
        return {labels[label] for labels, _ in self.metric(name)}


@contextmanager
def telling_in_memory() -> Iterator[Told]:
    """Spans and metrics of whatever is made inside the `with`."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test")
    tracer = tracers.get_tracer("test")
    with becoming(Telemetry(tracer=tracer, instruments=Instruments(meter), gauges=Gauges(meter), exports=True)):
        yield Told(tracer, spans, reader)
