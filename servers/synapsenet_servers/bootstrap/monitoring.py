"""Monitoring, put together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from synapsenet.monitoring.service import Monitoring
from synapsenet_api.monitoring.v1.monitoring_service_pb2_grpc import add_MonitoringServiceServicer_to_server
from synapsenet_servers.bootstrap.role import Platform, Role, Service
from synapsenet_servers.peers.monitoring import GrpcAgeSource
from synapsenet_servers.servicers.monitoring import FeatureMonitor


async def assemble(platform: Platform, stack: AsyncExitStack) -> Role:
    """The role `monitoring`; it keeps nothing yet and asks the feature store."""
    monitoring = Monitoring(
        ages=GrpcAgeSource(platform.channel("features")), clock=platform.clock, options=platform.config.monitoring
    )
    external = Service(
        name="synapsenet.monitoring.v1.MonitoringService",
        servicer=FeatureMonitor(monitoring),  # type: ignore[abstract]  # the rest is in not_yet_available
        add=add_MonitoringServiceServicer_to_server,
    )
    return Role(name="monitoring", services=[external])
