"""Envoy's bootstrap for the edge, as plain data: one port for HTTP/JSON, NDJSON, gRPC-Web and gRPC, one upstream behind it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from synapsenet_servers.mesh.descriptors import external_services, transcoded_services
from synapsenet_servers.mesh.options import EdgeOptions
from synapsenet_servers.mesh.refusals import WEB_FORM, local_reply_config

Tree = dict[str, Any]

CARRIED = ("grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""Services that every server carries and that clients of the edge may call."""

_PLATFORM = "platform"
_FILTERS = "envoy.extensions.filters"
_BODY_LIMIT = "envoy.filters.http.buffer"
_UPSTREAM_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(
    options: EdgeOptions, descriptors: FileDescriptorSet, *, descriptor_file: Path, admin_socket: Path, upstream_socket: Path
) -> Tree:
    """The whole configuration.

    Args:
        options: the edge's bounds and names.
        descriptors: the contracts; what is routed and transcoded follows from them.
        descriptor_file: where Envoy reads `transcoder_descriptors(descriptors)`.
        admin_socket: Unix socket for Envoy's administration; readable by its owner alone.
        upstream_socket: Unix socket of the gRPC server behind the edge.
    """
    connections = {"max_active_downstream_connections": options.connections}
    monitor = "envoy.resource_monitors.global_downstream_max_connections"
    monitor_type = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        "node": {"id": "edge", "cluster": "synapsenet"},
        "admin": {"address": {"pipe": {"path": str(admin_socket), "mode": 0o600}}},
        "overload_manager": {"resource_monitors": [_named(monitor, monitor_type, **connections)]},
        "static_resources": {
            "listeners": [_listener(options, descriptors, descriptor_file)],
            "clusters": [_cluster(options, upstream_socket)],
        },
    }


def _named(name: str, kind: str, **settings: Any) -> Tree:
    return {"name": name, "typed_config": _typed(kind, **settings)}


def _typed(kind: str, **settings: Any) -> Tree:
    return {"@type": f"type.googleapis.com/{kind}", **settings}


def _listener(options: EdgeOptions, descriptors: FileDescriptorSet, descriptor_file: Path) -> Tree:
    manager = _named(
        "envoy.filters.network.http_connection_manager",
        f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="edge",
        server_name="synapsenet",
        codec_type="AUTO",
        use_remote_address=True,
        normalize_path=True,
        max_request_headers_kb=options.header_kib,
        # A watch may be silent for hours; the pings below tell a silent client from one that is gone.
        stream_idle_timeout="0s",
        request_headers_timeout=f"{options.header_timeout_s:g}s",
        common_http_protocol_options={"idle_timeout": f"{options.idle_connection_s:g}s"},
        # A stream that fails after its first message has no other place to say so than `grpc-status` in its trailers.
        http_protocol_options={"enable_trailers": True},
        http2_protocol_options={
            "max_concurrent_streams": options.streams,
            "connection_keepalive": {"interval": "30s", "timeout": "15s"},
        },
        local_reply_config=local_reply_config(),
        route_config={"name": "edge", "virtual_hosts": [_routes([*external_services(descriptors), *CARRIED])]},
        http_filters=_http_filters(options, descriptors, descriptor_file),
    )
    return {
        "name": "edge",
        "address": {"socket_address": {"address": options.host, "port_value": options.port}},
        # With it, a second Envoy would silently share the port.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": 1 << 20,
        "filter_chains": [{"filters": [manager]}],
    }


def _routes(services: Sequence[str]) -> Tree:
    """One route for each service; Envoy has no deadline of its own, it keeps to the caller's `grpc-timeout`."""
    # These are gRPC's paths: its streams must not wait for their end.
    streaming = {_BODY_LIMIT: _typed(f"{_FILTERS}.http.buffer.v3.BufferPerRoute", disabled=True)}
    to_platform = {"cluster": _PLATFORM, "timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "0s"}}
    return {
        "name": "services",
        "domains": ["*"],
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,unavailable",
            "num_retries": 2,
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        },
        "routes": [
            {"match": {"prefix": f"/{service}/"}, "route": to_platform, "typed_per_filter_config": streaming}
            for service in services
        ],
    }


def _http_filters(options: EdgeOptions, descriptors: FileDescriptorSet, descriptor_file: Path) -> list[Tree]:
    """In this order: whom the edge refuses, how large a body may be, gRPC-Web to gRPC, JSON to gRPC, on to the platform."""
    return [
        _named(
            "envoy.filters.http.rbac",
            f"{_FILTERS}.http.rbac.v3.RBAC",
            rules={
                "action": "DENY",
                "policies": {"foreign": {"permissions": _foreign(options), "principals": [{"any": True}]}},
            },
        ),
        # The transcoder bounds what it holds back, not what passes through it.
        _named(_BODY_LIMIT, f"{_FILTERS}.http.buffer.v3.Buffer", max_request_bytes=options.body_bytes),
        _named("envoy.filters.http.grpc_web", f"{_FILTERS}.http.grpc_web.v3.GrpcWeb"),
        _named(
            "envoy.filters.http.grpc_json_transcoder",
            f"{_FILTERS}.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
            proto_descriptor=str(descriptor_file),
            services=transcoded_services(descriptors),
            convert_grpc_status=True,
            max_request_body_size=options.body_bytes,
            max_response_body_size=options.answer_bytes,
            query_param_unescape_plus=True,
            print_options={
                "always_print_primitive_fields": True,
                "preserve_proto_field_names": True,
                "stream_newline_delimited": True,
            },
            # Else a request that does not fit is passed on as it is, to a server that cannot read it.
            request_validation_options={
                "reject_unknown_query_parameters": True,
                "reject_unknown_method": True,
                "reject_binding_body_field_collisions": True,
            },
        ),
        _named("envoy.filters.http.router", f"{_FILTERS}.http.router.v3.Router", suppress_envoy_headers=True),
    ]


def _foreign(options: EdgeOptions) -> list[Tree]:
    """What marks a request that a web page of somebody else's may have sent to a server that listens on loopback only."""
    names = "|".join(re.escape(name) for name in options.own_names)
    own_host = _header(":authority", f"(?i)({names})(:[0-9]+)?")
    own_origin = _header("origin", f"(?i)http://({names}):{options.port}")
    has_origin = {"header": {"name": "origin", "present_match": True}}
    return [
        {"not_rule": own_host},
        {"and_rules": {"rules": [has_origin, {"not_rule": own_origin}]}},
        _header("content-type", WEB_FORM),
    ]


def _header(name: str, pattern: str) -> Tree:
    return {"header": {"name": name, "string_match": {"safe_regex": {"regex": pattern}}}}


def _cluster(options: EdgeOptions, socket: Path) -> Tree:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    http2 = _typed(_UPSTREAM_HTTP, explicit_http_config={"http2_protocol_options": {}})
    bounds = {
        "max_connections": options.connections,
        "max_pending_requests": options.calls,
        "max_requests": options.calls,
        "retry_budget": {"budget_percent": {"value": options.retry_percent}, "min_retry_concurrency": 3},
    }
    return {
        "name": _PLATFORM,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": _PLATFORM, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [bounds]},
        "typed_extension_protocol_options": {_UPSTREAM_HTTP: http2},
    }
