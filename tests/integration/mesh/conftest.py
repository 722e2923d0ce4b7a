"""One Envoy for all tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.mesh.small_platform import Behind, platform


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="behind")
async def _behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    folder = tmp_path_factory.mktemp("edge")
    async with platform(folder, body_bytes=4 << 20, hosts=("mesh.example",), header_timeout_s=0.5) as behind:
        yield behind
