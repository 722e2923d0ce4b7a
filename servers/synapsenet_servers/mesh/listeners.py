"""Where Envoy listens: the edge's ports for people, and the host's socket for calls between services."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from synapsenet_servers.mesh.addressing import HEADER, PARTICIPANTS
from synapsenet_servers.mesh.clusters import Behind
from synapsenet_servers.mesh.descriptors import transcoded_services
from synapsenet_servers.mesh.options import EdgeOptions
from synapsenet_servers.mesh.refusals import WEB_FORM, local_reply_config
from synapsenet_servers.mesh.typed import Tree, named, typed

_FILTERS = "envoy.extensions.filters"
_BODY_LIMIT = "envoy.filters.http.buffer"
_MANAGER = f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"

# Envoy has no deadline of its own, it keeps to the caller's `grpc-timeout`.
_TO_ITS_END: Tree = {"timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "0s"}}

# Calls between services are many on few connections; one service's connection must not be its bound.
_MESH_STREAMS = 10_000


def edge_listeners(
    options: EdgeOptions,
    descriptors: FileDescriptorSet,
    descriptor_file: Path,
    routes: Mapping[str, str],
    retry: Tree,
    *,
    tls: Tree,
    traced: Tree,
) -> list[Tree]:
    """One listener a port, all alike; `routes` name the cluster of each service, `tls` what the clients must speak, `traced`
    where spans go."""
    manager = named(
        "envoy.filters.network.http_connection_manager",
        _MANAGER,
        stat_prefix="edge",
        server_name="synapsenet",
        codec_type="AUTO",
        use_remote_address=True,
        preserve_external_request_id=True,
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
        route_config={"name": "edge", "virtual_hosts": [_routes(routes, retry, bodies=True)]},
        http_filters=_http_filters(options, descriptors, descriptor_file),
        **traced,
    )
    return [
        {
            "name": f"edge-{number}" if number else "edge",
            "address": {"socket_address": {"address": options.host, "port_value": port}},
            # With it, a second Envoy would silently share the port.
            "enable_reuse_port": False,
            "per_connection_buffer_limit_bytes": 1 << 20,
            "filter_chains": [{"filters": [manager]} | tls],
        }
        for number, port in enumerate(options.ports)
    ]


def mesh_listener(socket: Path, behind: Behind) -> Tree:
    """The socket for calls between services: gRPC alone, passed on as it comes, with nothing added."""
    manager = named(
        "envoy.filters.network.http_connection_manager",
        _MANAGER,
        stat_prefix="mesh",
        codec_type="HTTP2",
        use_remote_address=False,
        skip_xff_append=True,
        generate_request_id=False,
        preserve_external_request_id=True,
        server_header_transformation="PASS_THROUGH",
        max_request_headers_kb=96,
        stream_idle_timeout="0s",
        http2_protocol_options={"max_concurrent_streams": _MESH_STREAMS},
        local_reply_config=local_reply_config(),
        route_config={"name": "mesh", "virtual_hosts": [_mesh_routes(behind)]},
        http_filters=[_router()],
    )
    return {
        "name": "mesh",
        "address": {"pipe": {"path": str(socket), "mode": 0o600}},
        "per_connection_buffer_limit_bytes": 1 << 20,
        "filter_chains": [{"filters": [manager]}],
    }


def _mesh_routes(behind: Behind) -> Tree:
    """As `_routes`, after those for calls that name the role which is to answer."""
    named_roles = [
        {
            "match": {
                "prefix": f"/{PARTICIPANTS}/",
                "headers": [{"name": HEADER, "string_match": {"exact": role}}],
            },
            "route": _TO_ITS_END | {"cluster": cluster},
        }
        for role, cluster in behind.roles.items()
    ]
    served = _routes(behind.mesh, behind.retry, bodies=False)
    return served | {"routes": [*named_roles, *served["routes"]]}


def _routes(clusters: Mapping[str, str], retry: Tree, *, bodies: bool) -> Tree:
    """One route for each service."""
    # These are gRPC's paths: its streams must not wait for their end.
    streaming = {_BODY_LIMIT: typed(f"{_FILTERS}.http.buffer.v3.BufferPerRoute", disabled=True)}
    return {
        "name": "services",
        "domains": ["*"],
        "retry_policy": retry,
        "routes": [
            {
                "match": {"prefix": f"/{service}/"},
                "route": _TO_ITS_END | {"cluster": cluster},
            }
            | ({"typed_per_filter_config": streaming} if bodies else {})
            for service, cluster in clusters.items()
        ],
    }


def _http_filters(options: EdgeOptions, descriptors: FileDescriptorSet, descriptor_file: Path) -> list[Tree]:
    """In this order: whom the edge refuses, how large a body may be, gRPC-Web to gRPC, JSON to gRPC, on to the platform."""
    return [
        named(
            "envoy.filters.http.rbac",
            f"{_FILTERS}.http.rbac.v3.RBAC",
            rules={
                "action": "DENY",
                "policies": {"foreign": {"permissions": _foreign(options), "principals": [{"any": True}]}},
            },
        ),
        # The transcoder bounds what it holds back, not what passes through it.
        named(_BODY_LIMIT, f"{_FILTERS}.http.buffer.v3.Buffer", max_request_bytes=options.body_bytes),
        named("envoy.filters.http.grpc_web", f"{_FILTERS}.http.grpc_web.v3.GrpcWeb"),
        named(
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
        _router(),
    ]


def _router() -> Tree:
    return named("envoy.filters.http.router", f"{_FILTERS}.http.router.v3.Router", suppress_envoy_headers=True)


def _foreign(options: EdgeOptions) -> list[Tree]:
    """What marks a request that a web page of somebody else's may have sent to a server that listens on loopback only."""
    names = "|".join(re.escape(name) for name in options.own_names)
    ports = "|".join(str(port) for port in options.ports)
    own_host = _header(":authority", f"(?i)({names})(:[0-9]+)?")
    own_origin = _header("origin", f"(?i)https?://({names}):({ports})")
    has_origin = {"header": {"name": "origin", "present_match": True}}
    return [
        {"not_rule": own_host},
        {"and_rules": {"rules": [has_origin, {"not_rule": own_origin}]}},
        _header("content-type", WEB_FORM),
    ]


def _header(name: str, pattern: str) -> Tree:
    return {"header": {"name": name, "string_match": {"safe_regex": {"regex": pattern}}}}
