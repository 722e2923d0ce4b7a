"""What inference may count on from the registry: the same suite over the real one and over the one of the unit tests."""

from __future__ import annotations

import pytest

from synapsenet.inference.model import VersionKey
from synapsenet.inference.ports import RegisteredVersion
from synapsenet.testing.inference import KEY, MemoryRegistry, RegistryContract
from synapsenet.testing.onnx_models import exact_model
from synapsenet_servers.peers.inference import GrpcRegistry
from tests.integration.inference.conftest import Client


class TestMemoryRegistry(RegistryContract):
    """The suite over the stand-in."""

    @pytest.fixture
    def registry(self) -> MemoryRegistry:
        registry = MemoryRegistry()
        registry.add(exact_model())
        return registry

    @pytest.fixture
    async def registered(self, registry: MemoryRegistry) -> RegisteredVersion:
        return await registry.find(KEY.model_id, KEY.version)


class TestGrpcRegistry(RegistryContract):
    """The suite over the peer and the real registry."""

    @pytest.fixture
    def registry(self, client: Client) -> GrpcRegistry:
        channel = client.channel
        return GrpcRegistry(registry=channel, models=channel, lifecycle=channel, timeout=10, download_timeout=10)

    @pytest.fixture
    async def registered(self, client: Client) -> RegisteredVersion:
        version = await client.register()
        return RegisteredVersion(
            key=VersionKey(version.model_id, version.version),
            model_name="exact",
            artifact_sha256=version.artifact.sha256,
            artifact_size=version.artifact.size_bytes,
            artifact_format="onnx",
        )
