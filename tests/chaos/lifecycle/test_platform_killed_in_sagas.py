"""`kill -9` of the whole platform in the midst of a saga, on real models: it ends done or undone, and somebody serves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synapsenet.lifecycle.audit import audit
from synapsenet.lifecycle.table import MACHINE
from synapsenet_api.lifecycle.v1.operation_pb2 import OperationState
from synapsenet_client import Client, Unavailable, connect
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.real_models import another, watched
from tests.chaos.served_model import NAME, rows, serve
from tests.live import LivePlatform, live_platform

ENDED_S = 30.0
MOMENTS_S = {"deploy": 0.06, "undeploy": 0.03, "roll_back": 0.1}


def begin(client: Client, saga: str, version: int) -> str:
    """The id of the operation."""
    calls: dict[str, Callable[[], Any]] = {
        "deploy": lambda: client.lifecycle.deploy(NAME, version),
        "undeploy": lambda: client.lifecycle.undeploy(NAME, version),
        "roll_back": lambda: client.lifecycle.roll_back(NAME, version=version),
    }
    return str(calls[saga]().id)


def predicted(client: Client) -> None:
    """Return once the model answers."""
    until = time.monotonic() + ENDED_S
    while True:
        try:
            client.inference.predict(NAME, rows())
        except Unavailable:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return


def check(platform: LivePlatform, client: Client, operation_id: str, saga: str, judge: Judge) -> None:
    ended = client.lifecycle.wait_operation(operation_id, timeout=ENDED_S)
    assert ended.state in (OperationState.OPERATION_STATE_SUCCEEDED, OperationState.OPERATION_STATE_COMPENSATED)
    states = [client.lifecycle.status(NAME, version.version).state for version in client.registry.list_versions(NAME)]
    if saga != "undeploy":
        assert "serving" in states
        predicted(client)
    judge(f"platform killed in the midst of {saga}", faults=1, findings=audit(MACHINE, watched(client)))


@pytest.mark.parametrize("saga", [*MOMENTS_S])
def test_kill_9_of_the_platform_in_the_midst_of_a_saga(saga: str, tmp_path: Path, judge: Judge) -> None:
    with live_platform(tmp_path) as platform:
        with connect(platform.grpc) as client:
            version = serve(client)
            if saga != "undeploy":
                version = another(client)
            operation_id = begin(client, saga, version)
            time.sleep(MOMENTS_S[saga])
        platform.kill()
    with live_platform(tmp_path) as platform, connect(platform.grpc) as client:
        check(platform, client, operation_id, saga, judge)
