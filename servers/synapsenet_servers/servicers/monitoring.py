"""Monitoring on the wire."""

from __future__ import annotations

from typing import Any

from synapsenet.monitoring.service import Monitoring
from synapsenet_api.monitoring.v1 import monitoring_service_pb2 as pb
from synapsenet_api.monitoring.v1.monitoring_service_pb2_grpc import MonitoringServiceServicer
from synapsenet_servers.translate import monitoring as translate
from synapsenet_servers.translate.pages import page_request


class FeatureMonitor(MonitoringServiceServicer):
    """Translates between `MonitoringService` and monitoring."""

    def __init__(self, monitoring: Monitoring) -> None:
        self._monitoring = monitoring

    async def GetFreshness(self, request: pb.GetFreshnessRequest, context: Any) -> pb.GetFreshnessResponse:
        found = await self._monitoring.freshness(translate.freshness_query(request), page_request(request))
        return translate.freshness(found)
