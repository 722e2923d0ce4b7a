"""Envoy's own part of a trace: a span for each request at the edge, sent to the collector that the services send theirs to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from synapsenet.errors import InvalidArgument
from synapsenet_servers.mesh.typed import Tree, named, typed

_COLLECTOR = "otel-collector"
_UPSTREAM_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_COLLECT_MS = 1_000
_PORTS = {"http": 4317, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeTracing:
    """Where the edge's spans go.

    Attributes:
        collector: URL of a collector that takes OTLP by gRPC, such as http://localhost:4317.
        share: of the requests that bring no trace, 0..1, how many begin one; those that bring one decide themselves.
    """

    collector: str
    share: float = 1.0

    def __post_init__(self) -> None:
        url = urlsplit(self.collector)
        if url.scheme not in _PORTS or not url.hostname:
            raise InvalidArgument(
                "TELEMETRY_INVALID",
                f"{self.collector} is no URL of a collector",
                field="OTEL_EXPORTER_OTLP_ENDPOINT",
                remedy="give one such as http://localhost:4317",
            )

    def of_listener(self) -> Tree:
        """What the edge's connection manager is told."""
        tracer = named(
            "envoy.tracers.opentelemetry",
            "envoy.config.trace.v3.OpenTelemetryConfig",
            grpc_service={"envoy_grpc": {"cluster_name": _COLLECTOR}, "timeout": "1s"},
            service_name="edge",
        )
        return {"tracing": {"provider": tracer, "random_sampling": {"value": 100 * self.share}}}

    def runtime(self) -> Tree:
        """How long Envoy collects spans: its own default, 5 s, is long for somebody who looks for the call just made."""
        layer = {"tracing.opentelemetry.flush_interval_ms": _COLLECT_MS}
        return {"layered_runtime": {"layers": [{"name": "tracing", "static_layer": layer}]}}

    def cluster(self) -> Tree:
        """The collector, as Envoy reaches it."""
        url = urlsplit(self.collector)
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
            roots: Tree = {"validation_context": {"system_root_certs": {}}}
            cluster["transport_socket"] = named("envoy.transport_sockets.tls", tls, sni=url.hostname, common_tls_context=roots)
        return cluster
