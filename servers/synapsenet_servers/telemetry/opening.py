"""Opening a process's telemetry: its logs, and what the options and OpenTelemetry's variables ask for; else nothing."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from synapsenet.errors import InvalidArgument
from synapsenet_servers.release import RELEASE
from synapsenet_servers.telemetry.current import OFF, Telemetry, becoming
from synapsenet_servers.telemetry.instruments import Instruments
from synapsenet_servers.telemetry.logs import configure_logs
from synapsenet_servers.telemetry.observing import Gauges
from synapsenet_servers.telemetry.options import TelemetryOptions
from synapsenet_servers.telemetry.process_metrics import process_gauges
from synapsenet_servers.telemetry.variables import OTLP, PROMETHEUS, Exporters, read_collector, read_exporters, sampled_share

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import Tracer

_SCOPE = "synapsenet"

_log = logging.getLogger(__name__)


@contextmanager
def open_telemetry(options: TelemetryOptions, *, service: str, instance: str = "") -> Iterator[Telemetry]:
    """Configure this process's logs, and tell of it inside a `with` what the options and the variables `OTEL_…` ask for.

    Enter it before servers, channels and engines are made: they ask `current()` when they are.

    Args:
        service: the process's name unless `OTEL_SERVICE_NAME` says another, e.g. `models`.
        instance: tells it from others of that name; this host and process if empty.

    Raises:
        InvalidArgument: TELEMETRY_INVALID, what the variables name is not there.
        FailedPrecondition: PORT_IN_USE, the address for Prometheus cannot be bound.
    """
    instance = instance or f"{socket.gethostname()}:{os.getpid()}"
    exporters = read_exporters()
    service = os.environ.get("OTEL_SERVICE_NAME") or service
    wants_traces = options.traces and not exporters.disabled and bool(exporters.traces or options.log_format == "json")
    wants_metrics = not exporters.disabled and bool(exporters.metrics or options.prometheus)
    configure_logs(options, service=service, instance=instance, ids=current_ids if wants_traces else None)
    if not wants_traces and not wants_metrics:
        with becoming(OFF):
            yield OFF
        return
    with ExitStack() as stack:
        resource = _resource(service, instance)
        tracer = _tracer(stack, resource, exporters, options) if wants_traces else None
        address, meter = _meter(stack, resource, exporters, options) if wants_metrics else ("", None)
        gauges = None if meter is None else Gauges(meter)
        telemetry = Telemetry(
            tracer=tracer,
            instruments=None if meter is None else Instruments(meter),
            gauges=gauges,
            exports=bool(tracer is not None and exporters.traces),
            collector=read_collector() if tracer is not None else None,
            share=sampled_share(),
            metrics_address=address,
        )
        stack.enter_context(telemetry.observing_all(process_gauges()))
        stack.enter_context(becoming(telemetry))
        if address:
            _log.info("metrics are at http://%s/metrics", address)
        yield telemetry


def current_ids() -> tuple[str, str] | None:
    """The ids of the current trace and span, in hexadecimal; None outside of any."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)


def _resource(service: str, instance: str) -> Resource:
    """What this process is; `OTEL_RESOURCE_ATTRIBUTES` goes over it."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = {
        "service.namespace": "synapsenet",
        "service.name": service,
        "service.instance.id": instance,
        "service.version": RELEASE,
    }
    return Resource.create(ours).merge(OTELResourceDetector().detect())


def _tracer(stack: ExitStack, resource: Resource, exporters: Exporters, options: TelemetryOptions) -> Tracer:
    """A tracer on a provider that is flushed and shut down at the end; sampler and limits are the variables'."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in exporters.traces:
        provider.add_span_processor(BatchSpanProcessor(_load("opentelemetry_traces_exporter", name)()))
    stack.callback(_shut_down, provider, within_s=options.flush_s)
    return provider.get_tracer(_SCOPE, RELEASE)


def _meter(stack: ExitStack, resource: Resource, exporters: Exporters, options: TelemetryOptions) -> tuple[str, Meter]:
    """The page's address, if there is one, and a meter whose provider is shut down at the end."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    readers: list[MetricReader] = []
    address = ""
    if options.prometheus or PROMETHEUS in exporters.metrics:
        from synapsenet_servers.telemetry.page import serving_page

        reader, address = stack.enter_context(serving_page(options))
        readers.append(reader)
    pushed = [name for name in exporters.metrics if name != PROMETHEUS]
    readers += [PeriodicExportingMetricReader(_load("opentelemetry_metrics_exporter", name)()) for name in pushed]
    provider = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
    stack.callback(_shut_down, provider, within_s=options.flush_s)
    return address, provider.get_meter(_SCOPE, RELEASE)


def _load(group: str, name: str) -> Any:
    """The exporter that is called `name` in the standard's variables: ours to find, anybody's to install."""
    wanted = "otlp_proto_grpc" if name == OTLP else name
    found = next(iter(entry_points(group=group, name=wanted)), None)
    if found is None:
        known = sorted({"otlp" if point.name.startswith("otlp_proto") else point.name for point in entry_points(group=group)})
        variable = "OTEL_TRACES_EXPORTER" if "traces" in group else "OTEL_METRICS_EXPORTER"
        raise InvalidArgument(
            "TELEMETRY_INVALID",
            f"no exporter called {name!r} is installed",
            field=variable,
            remedy=f"choose among none, {', '.join(known)}",
        )
    return found.load()


def _shut_down(provider: Any, *, within_s: float) -> None:
    """Let what is recorded out, for so long: a collector that is away must not keep the process."""
    ending = threading.Thread(target=provider.shutdown, name="telemetry-end", daemon=True)
    ending.start()
    ending.join(within_s)
    if ending.is_alive():
        _log.warning("spans or metrics of the last moments are lost: their collector did not take them in %g s", within_s)
