"""A platform with real models, of which several processes with several threads each want something at one instant."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from synapsenet.lifecycle.audit import audit
from synapsenet.lifecycle.table import MACHINE
from synapsenet_api.lifecycle.v1.operation_pb2 import OperationState
from synapsenet_client import Client, connect
from tests.chaos.lifecycle.callers import Callers, Heard, Wish, callers
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.real_models import another, watched
from tests.chaos.served_model import NAME, rows, serve
from tests.live import live_platform

PROCESSES, THREADS = 3, 4
ENDED_S = 60.0
REFUSED = frozenset({"MODEL_BUSY", "TRANSITION_NOT_ALLOWED", "VERSION_BUSY", "VERSION_CHANGED"})
COMPENSATED = OperationState.OPERATION_STATE_COMPENSATED
SUCCEEDED = OperationState.OPERATION_STATE_SUCCEEDED


def settled(client: Client, operation_id: str) -> OperationState.ValueType:
    """How it ended; whatever became of it, the model answers."""
    ended = client.lifecycle.wait_operation(operation_id, timeout=ENDED_S).state
    client.inference.predict(NAME, rows())
    return ended


def winner(heard: list[Heard], *, refusals: frozenset[str]) -> str:
    """The one operation that was begun."""
    (operation_id,) = {one.operation_id for one in heard if one.operation_id}
    assert {one.reason for one in heard if not one.operation_id} <= refusals
    return operation_id


def newest_wins(client: Client, crowd: Callers, target: str, versions: tuple[int, int]) -> int:
    """Many want either of two versions to serve at once, then many the same end of it; how many wishes that were."""
    wishes = [Wish(method="deploy", arguments=(NAME, versions[number % 2])) for number in range(THREADS)]
    heard = crowd.race(wishes, target)
    begun = [one.operation_id for one in heard if one.operation_id]  # a real one may end before all were heard
    assert begun
    assert len(set(begun)) == len(begun)
    assert {one.reason for one in heard if not one.operation_id} <= REFUSED
    assert {settled(client, operation_id) for operation_id in begun} == {SUCCEEDED}
    newest = max((client.lifecycle.get_operation(one) for one in begun), key=lambda one: one.end_time.ToNanoseconds())
    states = {version: client.lifecycle.status(NAME, version).state for version in versions}
    assert states == {version: "serving" if version == newest.version else "registered" for version in versions}
    end = Wish(method="undeploy", arguments=(NAME, newest.version), named={"request_id": f"after-{newest.id}"})
    undeployed = crowd.race([end] * THREADS, target)
    operation_id = winner(undeployed, refusals=frozenset())
    assert client.lifecycle.wait_operation(operation_id, timeout=ENDED_S).state == SUCCEEDED
    return len(heard) + len(undeployed)


def one_body(client: Client, crowd: Callers, target: str, version: int) -> int:
    """Two wishes share an id, and many send both at once; how many wishes that were."""
    bodies = [Wish(method="deploy", arguments=(NAME, version), named={"request_id": "id", "replicas": n}) for n in (0, 1)]
    heard = crowd.race(bodies * (THREADS // 2), target)
    operation_id = winner(heard, refusals=frozenset({"REQUEST_ID_REUSED"}))
    assert Counter(one.operation_id for one in heard)[operation_id] == len(heard) // 2
    assert settled(client, operation_id) == SUCCEEDED
    return len(heard)


def cancelled(client: Client, crowd: Callers, target: str, version: int) -> int:
    """A deployment is cancelled by many as soon as it has begun; how many wishes that were."""
    operation_id = client.lifecycle.deploy(NAME, version).id
    heard = crowd.race([Wish(method="cancel_operation", arguments=(operation_id,))] * THREADS, target)
    assert {one.reason for one in heard} <= {"", "OPERATION_ENDED", "OPERATION_CHANGED"}
    ended = settled(client, operation_id)
    if any(one.operation_id for one in heard):
        assert ended == COMPENSATED
        assert client.lifecycle.status(NAME, version).state == "registered"
    return len(heard)


def test_callers_who_race_for_one_real_model_leave_it_as_one_of_them_wanted(tmp_path: Path, judge: Judge) -> None:
    with live_platform(tmp_path) as platform, connect(platform.grpc) as client, callers(PROCESSES, tmp_path) as crowd:
        first = serve(client)
        second, third = another(client), another(client)
        client.lifecycle.wait_operation(client.lifecycle.undeploy(NAME, first).id, timeout=ENDED_S)
        wishes = newest_wins(client, crowd, platform.grpc, (first, second))
        wishes += one_body(client, crowd, platform.grpc, first)
        wishes += cancelled(client, crowd, platform.grpc, third)
        judge(f"{wishes} wishes raced for one real model", faults=wishes, findings=audit(MACHINE, watched(client)))
