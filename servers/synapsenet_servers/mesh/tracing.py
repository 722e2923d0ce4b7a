"""Envoy's own part of a trace: a span for each request at the edge, sent to the collector that the services send theirs to."""

from __future__ import annotations

from urllib.parse import urlsplit

from synapsenet_servers.mesh.typed import Tree, named, typed
from synapsenet_servers.telemetry.variables import Collector

_COLLECTOR = "otel-collector"
_UPSTREAM_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_COLLECT_MS = 1_000
_PORTS = {"http": 4317, "https": 443}


class EdgeTracing:
    """The edge's spans, sent to `collector`.

    Args:
        share: of the requests that bring no trace, 0..1, how many begin one; those that bring one decide themselves.
    """

    def __init__(self, collector: Collector, *, share: float = 1.0) -> None:
        self._collector = collector
        self._share = share

    def of_listener(self) -> Tree:
        """What the edge's connection manager is told."""
        tracer = named(
            "envoy.tracers.opentelemetry",
            "envoy.config.trace.v3.OpenTelemetryConfig",
            grpc_service={
                "envoy_grpc": {"cluster_name": _COLLECTOR},
                "timeout": "1s",
                "initial_metadata": [{"key": key, "value": value} for key, value in self._collector.headers.items()],
            },
            service_name="edge",
        )
        return {"tracing": {"provider": tracer, "random_sampling": {"value": 100 * self._share}}}

    def runtime(self) -> Tree:
        """How long Envoy collects spans: its own default, 5 s, is long for somebody who looks for the call just made."""
        layer = {"tracing.opentelemetry.flush_interval_ms": _COLLECT_MS}
        return {"layered_runtime": {"layers": [{"name": "tracing", "static_layer": layer}]}}

    def cluster(self) -> Tree:
        """The collector, as Envoy reaches it."""
        url = urlsplit(self._collector.url)
        address = {"address": url.hostname, "port_value": url.port or _PORTS[url.scheme]}
        endpoint = {"endpoint": {"address": {"socket_address": address}}}
        http2 = typed(_UPSTREAM_HTTP, explicit_http_config={"http2_protocol_options": {}})
        cluster: Tree = {
            "name": _COLLECTOR,
            "type": "STRICT_DNS",
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": _COLLECTOR, "endpoints": [{"lb_endpoints": [endpoint]}]},
            "typed_extension_protocol_options": {_UPSTREAM_HTTP: http2},
        }
        if url.scheme == "https":
            tls = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
            given = self._collector.ca_file
            trusted: Tree = {"trusted_ca": {"filename": given}} if given else {"system_root_certs": {}}
            roots = {"validation_context": trusted}
            cluster["transport_socket"] = named("envoy.transport_sockets.tls", tls, sni=url.hostname, common_tls_context=roots)
        return cluster
