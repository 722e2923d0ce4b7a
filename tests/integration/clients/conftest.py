"""A scripted platform, and a blocking client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synapsenet_client import Client, Options, Retries, connect
from tests.integration.clients.scripted import Listening, ScriptedPlatform


@pytest.fixture
def listening() -> Iterator[Listening]:
    server = Listening()
    yield server
    server.stop()


@pytest.fixture
def platform(listening: Listening) -> ScriptedPlatform:
    return listening.platform


@pytest.fixture
def client(listening: Listening) -> Iterator[Client]:
    options = Options(timeout=10.0, transfer_timeout=20.0, retries=Retries(first_backoff=0.01, longest_backoff=0.05))
    with connect(listening.target, options=options) as connected:
        yield connected
