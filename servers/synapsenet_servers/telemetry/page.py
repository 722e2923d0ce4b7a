"""The page for Prometheus: plain HTTP on a thread of its own, so that reading it does not hold up the calls."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from synapsenet.errors import FailedPrecondition
from synapsenet_servers.telemetry.options import TelemetryOptions

if TYPE_CHECKING:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader


@contextmanager
def serving_page(options: TelemetryOptions) -> Iterator[tuple[PrometheusMetricReader, str]]:
    """The reader behind the page and the page's `host:port`, inside a `with`.

    The address is `telemetry.prometheus`, else that of the standard's variables, which is localhost:9464 if they are silent.

    Raises:
        FailedPrecondition: PORT_IN_USE; PORT_REFUSED.
    """
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import CollectorRegistry, start_http_server

    host, port = options.prometheus_address if options.prometheus else _standard_address()
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry, scope_info_enabled=False)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise _refused(f"{host}:{port}", error) from error
    try:
        yield reader, f"{f'[{host}]' if ':' in host else host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _standard_address() -> tuple[str, int]:
    host = os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", "localhost")
    return host, int(os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT", "9464"))


def _refused(address: str, error: OSError) -> FailedPrecondition:
    remedy = "choose another telemetry.prometheus, or port 0 for a free one"
    if error.errno == errno.EADDRINUSE:
        return FailedPrecondition("PORT_IN_USE", f"{address} is in use", remedy=remedy)
    return FailedPrecondition("PORT_REFUSED", f"{address} cannot be bound: {error.strerror}", remedy=remedy)
