"""One running platform for all tests of this folder that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synapsenet_client import Client, connect
from tests.live import LivePlatform, live_platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    with live_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="session")
def client(platform: LivePlatform) -> Iterator[Client]:
    with connect(platform.grpc) as connected:
        yield connected
