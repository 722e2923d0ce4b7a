"""Envoy's bootstrap, as plain data: the edge for people, the socket between services, and what stands behind them."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from synapsenet_servers.mesh.clusters import Behind
from synapsenet_servers.mesh.listeners import edge_listeners, mesh_listener
from synapsenet_servers.mesh.options import EdgeOptions
from synapsenet_servers.mesh.tracing import EdgeTracing
from synapsenet_servers.mesh.typed import Tree, named


def bootstrap(
    options: EdgeOptions,
    descriptors: FileDescriptorSet,
    behind: Behind,
    *,
    descriptor_file: Path,
    admin_socket: Path,
    mesh_socket: Path | None = None,
    public_tls: Tree | None = None,
    tracing: EdgeTracing | None = None,
) -> Tree:
    """The whole configuration.

    Args:
        options: the edge's bounds and names.
        descriptors: the contracts; what is routed and transcoded follows from them.
        behind: where calls go.
        descriptor_file: where Envoy reads `transcoder_descriptors(descriptors)`.
        admin_socket: Unix socket for Envoy's administration; readable by its owner alone.
        mesh_socket: Unix socket for calls between services, likewise; None where Envoy carries none.
        public_tls: what clients of the edge must speak, as `identities.to_people` says it.
        tracing: where the edge's spans go; None: it makes none, and passes on the trace that a request brings.
    """
    connections = {"max_active_downstream_connections": options.connections}
    monitor = "envoy.resource_monitors.global_downstream_max_connections"
    monitor_type = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    listeners: list[Tree] = []
    collectors = [tracing.cluster()] if tracing else []
    if behind.edge:
        traced = tracing.of_listener() if tracing else {}
        listeners += edge_listeners(
            options, descriptors, descriptor_file, behind.edge, behind.retry, tls=public_tls or {}, traced=traced
        )
    if mesh_socket:
        # Services are bounded by the calls of each role: people who take all connections must not cut services off.
        listeners.append(mesh_listener(mesh_socket, behind) | {"ignore_global_conn_limit": True})
    return {
        "node": {"id": "edge", "cluster": "synapsenet"},
        "admin": {"address": {"pipe": {"path": str(admin_socket), "mode": 0o600}}},
        "overload_manager": {"resource_monitors": [named(monitor, monitor_type, **connections)]},
        "static_resources": {"listeners": listeners, "clusters": [*behind.clusters, *collectors]},
    } | (tracing.runtime() if tracing else {})
