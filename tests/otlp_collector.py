"""A collector of OpenTelemetry's protocol: what a platform sends it can be asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

WAIT_S = 20.0

_ADD_TRACES: Callable[[Any, grpc.Server], None] = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
_ADD_METRICS: Callable[[Any, grpc.Server], None] = metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSpan:
    """A span as it came in; ids in hexadecimal, `parent` empty for the first of a trace."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    service: str
    attributes: dict[str, Any]
    failed: bool


class Collector:
    """What came in so far.

    Attributes:
        endpoint: for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.spans: list[SeenSpan] = []
        self.metrics: set[str] = set()

    def variables(self) -> dict[str, str]:
        """The environment that sends everything here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        }

    def trace(self, trace: str) -> Sequence[SeenSpan]:
        """The spans of one trace."""
        return [span for span in list(self.spans) if span.trace == trace]

    def wait_for(self, trace: str, complete: Callable[[Sequence[SeenSpan]], bool]) -> Sequence[SeenSpan]:
        """The spans of a trace once it is `complete`, or after some time what there is."""
        self.wait_until(lambda: complete(self.trace(trace)))
        return self.trace(trace)

    def wait_until(self, seen: Callable[[], bool]) -> None:
        """Return once something is `seen`, or after some time."""
        deadline = time.monotonic() + WAIT_S
        while not seen() and time.monotonic() < deadline:
            time.sleep(0.05)


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes).get("service.name", "")
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            self._collector.spans.extend(_seen(span, service) for span in spans)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        for resource in request.resource_metrics:
            self._collector.metrics |= {metric.name for scope in resource.scope_metrics for metric in scope.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


@contextmanager
def otlp_collector() -> Iterator[Collector]:
    """A collector on a free port of loopback inside a `with`."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4, thread_name_prefix="collector"))
    _ADD_TRACES(_Traces(collector), server)
    _ADD_METRICS(_Metrics(collector), server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()


def _seen(span: Any, service: str) -> SeenSpan:
    return SeenSpan(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=type(span).SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        service=service,
        attributes=_attributes(span.attributes),
        failed=span.status.code == 2,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}
