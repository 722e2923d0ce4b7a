"""The roles features and monitoring, served as the platform serves them, and stubs to call them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from synapsenet_api.features.v1.feature_control_service_pb2_grpc import FeatureControlServiceStub
from synapsenet_api.features.v1.feature_service_pb2_grpc import FeatureServiceStub
from synapsenet_api.monitoring.v1.monitoring_service_pb2_grpc import MonitoringServiceStub
from synapsenet_servers.bootstrap import features, monitoring
from synapsenet_servers.bootstrap.host import hosting
from synapsenet_servers.bootstrap.platform import open_platform
from synapsenet_servers.config import Config
from synapsenet_servers.not_yet_available import features as absent_features
from synapsenet_servers.not_yet_available import monitoring as absent_monitoring
from tests.integration.features.stores import ServeStores, Stores

ROLES = {"features": features.assemble, "monitoring": monitoring.assemble}
ABSENT = (*absent_features.ROWS, *absent_monitoring.ROWS)


@pytest.fixture
def serve(tmp_path: Path) -> ServeStores:
    """Serves the roles on the same data each time, with these sections of the configuration."""

    @asynccontextmanager
    async def serving(**sections: dict[str, Any]) -> AsyncIterator[Stores]:
        async with AsyncExitStack() as stack:
            config = Config(**sections)  # type: ignore[arg-type]  # pydantic makes sections of mappings
            platform = await stack.enter_async_context(open_platform(config, data=tmp_path / "data"))
            host = await stack.enter_async_context(hosting(platform, ROLES, outer=["127.0.0.1:0"], absent=ABSENT))
            outside = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{host.ports[0]}"))
            yield Stores(
                features=FeatureServiceStub(outside),
                monitoring=MonitoringServiceStub(outside),
                control=FeatureControlServiceStub(outside),
                data=platform.data,
            )

    return serving


@pytest.fixture
async def stores(serve: ServeStores) -> AsyncIterator[Stores]:
    async with serve() as running:
        yield running
