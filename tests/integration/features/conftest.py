"""The roles features and monitoring, served as the platform serves them, and stubs to call them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from synapsenet_api.features.v1.feature_control_service_pb2_grpc import FeatureControlServiceStub
from synapsenet_api.features.v1.feature_service_pb2_grpc import FeatureServiceStub
from synapsenet_api.monitoring.v1.monitoring_service_pb2_grpc import MonitoringServiceStub
from tests.integration.features.stores import ServeStores, Stores
from tests.serving import serving_roles


@pytest.fixture
def serve(tmp_path: Path) -> ServeStores:
    """Serves the roles on the same data each time, with these sections of the configuration."""

    @asynccontextmanager
    async def serving(**sections: dict[str, Any]) -> AsyncIterator[Stores]:
        async with serving_roles(tmp_path / "data", "features", "monitoring", **sections) as roles:
            yield Stores(
                features=FeatureServiceStub(roles.channel),
                monitoring=MonitoringServiceStub(roles.channel),
                control=FeatureControlServiceStub(roles.channel),
                data=roles.data,
            )

    return serving


@pytest.fixture
async def stores(serve: ServeStores) -> AsyncIterator[Stores]:
    async with serve() as running:
        yield running
