"""What stands behind Envoy: the one server of the embedded profile, or every role's instances."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from synapsenet_servers.mesh.descriptors import CARRIED, external_services, role_of, services
from synapsenet_servers.mesh.identities import EDGE, MESH, to_services
from synapsenet_servers.mesh.mesh_options import MeshOptions
from synapsenet_servers.mesh.options import EdgeOptions
from synapsenet_servers.mesh.typed import Tree, named, typed
from synapsenet_servers.security.options import SecurityOptions

MESH_ROLE = "mesh"
"""The role of a host's Envoy itself; it answers for the health of all and for reflection."""

_PLATFORM = "platform"
_UPSTREAM_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

# Only once nobody is healthy are the unhealthy tried: a health check that is late must not stop a role's last instance.
_PANIC_BELOW_PERCENT = 1.0

_TCP_USER_TIMEOUT = 18  # Linux's, which is where Envoy runs; Python has the name there only
_PROBES = 127  # a second apart; the kernel takes no more

# A share of few calls is none: as many are retried at one time whatever the budget.
_ALWAYS_RETRIED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What Envoy routes to.

    Attributes:
        clusters: all of them.
        edge: by service, the cluster for calls from outside.
        mesh: by service, the cluster for calls between services; empty where Envoy does not carry those.
        roles: by role, the cluster for those calls that name the role themselves.
        retry: how a route tries again.
    """

    clusters: Sequence[Tree]
    edge: Mapping[str, str]
    retry: Tree
    mesh: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)


def one_server(options: EdgeOptions, descriptors: FileDescriptorSet, socket: Path) -> Behind:
    """Everything behind one Unix socket."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    cluster = {
        "name": _PLATFORM,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": _PLATFORM, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": _bounds(options.connections, options.calls, options.retry_percent),
        "typed_extension_protocol_options": _http2(),
    }
    retry = {
        "retry_on": "connect-failure,refused-stream,unavailable",
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    }
    carried = [*external_services(descriptors), *CARRIED]
    return Behind(clusters=[cluster], edge=dict.fromkeys(carried, _PLATFORM), retry=retry)


def every_role(
    options: MeshOptions,
    security: SecurityOptions,
    descriptors: FileDescriptorSet,
    *,
    endpoints: Callable[[str], Path],
    secrets: Mapping[str, Path],
) -> Behind:
    """Two clusters a role, one for calls from outside and one for calls between services: they differ in the identity shown.

    Args:
        endpoints: where the endpoint file of a role is.
        secrets: the files that `secret_files` wrote.
    """
    roles = {name: role_of(name) for name in services(descriptors)} | dict.fromkeys(CARRIED, MESH_ROLE)
    outside = set(external_services(descriptors)) | set(CARRIED)
    kinds = ((EDGE, {role for name, role in roles.items() if name in outside}), (MESH, set(roles.values())))
    clusters = []
    for kind, members in kinds if options.edge else kinds[1:]:
        tls = to_services(secrets, shown=kind, expected=security.mesh_identity)
        clusters += [
            _cluster(options, f"{kind}/{role}", role, _checked(roles, role), endpoints(role)) | tls for role in sorted(members)
        ]
    return Behind(
        clusters=clusters,
        edge={name: f"{EDGE}/{roles[name]}" for name in sorted(outside)} if options.edge else {},
        mesh={name: f"{MESH}/{role}" for name, role in sorted(roles.items())},
        roles={role: f"{MESH}/{role}" for role in sorted(set(roles.values()))},
        retry=_retry(options),
    )


def all_roles(descriptors: FileDescriptorSet) -> list[str]:
    """Every role that has a service in the contracts, and the mesh's own."""
    return sorted({role_of(name) for name in services(descriptors)} | {MESH_ROLE})


def _checked(roles: Mapping[str, str], role: str) -> str:
    """The service by which the health of a role is asked: another process at its former address does not know it."""
    return "" if role == MESH_ROLE else min(name for name, its in roles.items() if its == role and "Control" not in name)


def _cluster(options: MeshOptions, name: str, role: str, checked: str, endpoints: Path) -> Tree:
    return {
        "name": name,
        "type": "EDS",
        "connect_timeout": f"{options.connect_timeout_s:g}s",
        "eds_cluster_config": {
            "service_name": role,
            "eds_config": {"path_config_source": {"path": str(endpoints)}, "resource_api_version": "V3"},
        },
        # The replica with the fewest calls under way: one that is slow has more, and gets fewer.
        "load_balancing_policy": {"policies": [{"typed_extension_config": _least_request()}]},
        # At once: Envoy would gather changes of health for a second, which is for clusters of thousands.
        "common_lb_config": {"healthy_panic_threshold": {"value": _PANIC_BELOW_PERCENT}, "update_merge_window": "0s"},
        # Who deregisters gets no calls from then on, healthy as it is while it drains.
        "ignore_health_on_host_removal": True,
        "health_checks": [_health_check(options, checked)],
        "outlier_detection": _outliers(options),
        "circuit_breakers": _bounds(options.connections, options.calls, options.retry_percent, always_retried=_ALWAYS_RETRIED),
        "typed_extension_protocol_options": _http2(ping_s=options.ping_s),
    } | _line(options.silence_s)


def _line(silence_s: int) -> Tree:
    """The kernel ends connections to a machine that is cut off; one that is only busy still has a kernel that answers.

    Health checks keep new calls away from either, and must not break the long ones that a busy instance has under way.
    """
    probes = min(_PROBES, silence_s - silence_s // 2)
    option = {
        "description": "TCP_USER_TIMEOUT: for data under way, which keepalive does not watch",
        "level": socket.IPPROTO_TCP,
        "name": _TCP_USER_TIMEOUT,
        "int_value": silence_s * 1_000,
        "state": "STATE_PREBIND",
    }
    return {
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": silence_s - probes, "keepalive_interval": 1, "keepalive_probes": probes}
        },
        "upstream_bind_config": {"socket_options": [option]},
    }


def _least_request() -> Tree:
    """Of all instances, not of two drawn by chance: there are few, and chance draws the same one twice."""
    kind = "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest"
    return named("envoy.load_balancing_policies.least_request", kind, selection_method="FULL_SCAN")


def _health_check(options: MeshOptions, service: str) -> Tree:
    interval = f"{options.health_interval_s:g}s"
    return {
        "timeout": f"{options.health_timeout_s:g}s",
        "interval": interval,
        # Else Envoy waits a minute between checks of a role that nobody has called yet.
        "no_traffic_interval": interval,
        "no_traffic_healthy_interval": interval,
        "unhealthy_edge_interval": f"{options.health_interval_s / 2:g}s",
        "unhealthy_threshold": options.unhealthy_after,
        "healthy_threshold": 1,
        "grpc_health_check": {"service_name": service},
    }


def _outliers(options: MeshOptions) -> Tree:
    """Ejected for failing to serve, never for what a call itself asked for: INTERNAL is counted for nothing."""
    return {
        "split_external_local_origin_errors": True,
        "consecutive_5xx": options.eject_after,
        "enforcing_consecutive_5xx": 0,
        "consecutive_gateway_failure": options.eject_after,
        "enforcing_consecutive_gateway_failure": 100,
        "consecutive_local_origin_failure": options.eject_after,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "0.5s",
        "base_ejection_time": f"{options.ejection_s:g}s",
        "max_ejection_time": f"{12 * options.ejection_s:g}s",
        "max_ejection_percent": 50,
    }


def _retry(options: MeshOptions) -> Tree:
    """Only what was not carried out is tried again, elsewhere first; the budget stands in the clusters' circuit breakers."""
    previous = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    priorities = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
    return {
        "retry_on": "connect-failure,refused-stream,unavailable,reset-before-request",
        "num_retries": options.retries,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.5s"},
        "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": typed(previous)}],
        "host_selection_retry_max_attempts": "3",
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": typed(priorities, update_frequency=1),
        },
    }


def _bounds(connections: int, calls: int, retry_percent: float, *, always_retried: int = 3) -> Tree:
    thresholds = {
        "max_connections": connections,
        "max_pending_requests": calls,
        "max_requests": calls,
        "retry_budget": {"budget_percent": {"value": retry_percent}, "min_retry_concurrency": always_retried},
    }
    return {"thresholds": [thresholds]}


def _http2(*, ping_s: float = 0.0) -> Tree:
    ping = {"connection_keepalive": {"interval": f"{ping_s:g}s", "timeout": "5s"}} if ping_s else {}
    return {_UPSTREAM_HTTP: typed(_UPSTREAM_HTTP, explicit_http_config={"http2_protocol_options": ping})}
