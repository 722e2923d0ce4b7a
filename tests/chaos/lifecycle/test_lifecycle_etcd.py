"""Coordinators whose three etcd members lose their leader, their quorum, or part of the past."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest

from synapsenet.lifecycle.sagas import SAGAS
from synapsenet_client import Aborted, Client, Options, Retries, Unavailable, connect
from tests.chaos.lifecycle.beginnings import begin_all
from tests.chaos.lifecycle.callers import Wish, callers
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.killed import run_coordinator, run_participants
from tests.chaos.lifecycle.lives import Life, reborn
from tests.chaos.lifecycle.points import Point, points
from tests.chaos.lifecycle.scripts import MOVED, Script
from tests.chaos.lifecycle.stores import AREA, SESSION_S, Places
from tests.chaos.lifecycle.troubles import Kind, Trouble
from tests.chaos.lifecycle.verdicts import check
from tests.cluster import until
from tests.etcd_server import EtcdCluster, etcd_cluster
from tests.postgres_server import RunningPostgres, postgres_server

T = TypeVar("T")

SETTLED_S = 75.0
ARRIVES_S = 20.0
KILLS = int(os.environ.get("CHAOS_ETCD_KILLS", "1"))
AT_WORK_S = 2.0
CALL_S = 6.0
TOKEN_BITS = 40
REFUSED = {"MODEL_BUSY", "VERSION_BUSY", "TRANSITION_NOT_ALLOWED", "VERSION_CHANGED", "ETCD_UNAVAILABLE"}
"""What a second wish is told; the last on a machine so busy that etcd does not answer in time."""
POINTS = tuple(point for point in points(SAGAS.all(), everywhere=False) if point.who == "coordinator")


@pytest.fixture(scope="module")
def postgres() -> Iterator[RunningPostgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdCluster]:
    with etcd_cluster(3) as running:
        yield running


@pytest.fixture
def places(postgres: RunningPostgres, etcd: EtcdCluster, tmp_path: Path) -> Places:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{AREA}" CASCADE'.encode())
    return Places(folder=tmp_path, postgres=postgres.url, etcd=",".join(etcd.endpoints))


def deployments(first: int, count: int) -> list[Script]:
    """Every other one turns back."""
    return [Script(saga="deploy", fails_at=("", "warm_up")[n % 2], number=n) for n in range(first, first + count)]


def begin_slowly(coordinator: Life, participants: Life, scripts: Iterable[Script], seconds: float = AT_WORK_S) -> list[str]:
    """Begin sagas that stay in their middle for a while; their models."""
    models = [script.model_id for script in scripts]
    slow = [Trouble(what=what, kind=Kind.SLOW, seconds=seconds) for what in ("execute load", "compensate load")]
    participants.ask("trouble", dict.fromkeys(models, slow))
    return begin_all(coordinator, models)


def begun_at_last(client: Client, script: Script) -> float:
    """Begin an operation as soon as that is possible; the seconds it took."""
    begun = time.monotonic()
    while True:
        try:
            client.lifecycle.deploy(script.model_id, MOVED, request_id=f"late-{script.number}")
        except (Unavailable, Aborted):
            assert time.monotonic() < begun + SETTLED_S
            time.sleep(0.05)
        else:
            return time.monotonic() - begun


def known(client: Client, script: Script) -> None:
    for version in script.states:
        client.lifecycle.status(script.model_id, version)


def test_sagas_go_on_and_others_begin_when_the_leader_of_etcd_is_killed(
    etcd: EtcdCluster, places: Places, judge: Judge
) -> None:
    models: list[str] = []
    slowest = 0.0
    with reborn(run_participants, places) as participants, reborn(run_coordinator, places) as coordinator:
        with connect(coordinator.life.ask("serve"), options=Options(timeout=CALL_S)) as client:
            for kill in range(KILLS):
                models += begin_slowly(coordinator.life, participants.life, deployments(kill * 100, 6))
                meanwhile = Script(saga="deploy", fails_at="", number=kill * 100 + 50)
                known(client, meanwhile)
                leader = etcd.leader()
                leader.kill()
                slowest = max(slowest, begun_at_last(client, meanwhile))
                models.append(meanwhile.model_id)
                assert coordinator.life.ask("settle", SETTLED_S) == []  # with two members
                leader.start()
        fault = f"etcd's leader killed under sagas, others begin within {slowest:.1f} s"
        check(judge, fault, KILLS, coordinator.life, participants.life, models)


def test_without_a_quorum_nothing_begins_or_goes_on_all_is_read_and_all_ends_when_it_is_back(
    etcd: EtcdCluster, places: Places, judge: Judge
) -> None:
    leader = etcd.leader()
    others = [server for server in etcd.servers if server is not leader]
    options = Options(timeout=CALL_S, retries=Retries(attempts=1))
    with reborn(run_participants, places) as participants, reborn(run_coordinator, places) as coordinator:
        with connect(coordinator.life.ask("serve"), options=options) as client:
            outsider = Script(saga="deploy", fails_at="", number=100)
            known(client, outsider)
            models = [outsider.model_id, *begin_slowly(coordinator.life, participants.life, deployments(0, 6), SESSION_S + 2.0)]
            for server in others:
                server.kill()
            try:
                with pytest.raises(Unavailable) as refusal:
                    client.lifecycle.deploy(outsider.model_id, MOVED)
                assert refusal.value.reason == "ETCD_UNAVAILABLE"
                assert "etcd" in str(refusal.value)
                time.sleep(SESSION_S + 1.0)
                stands = _readable(client, models)
                time.sleep(3.0)  # within which steps end that nobody may record any more
                assert _readable(client, models) == stands
                assert len(coordinator.life.ask("settle", 0.0)) == len(models) - 1
            finally:
                for server in others:
                    server.launch()
                for server in others:
                    server.wait()
            begun_at_last(client, outsider)
            assert coordinator.life.ask("settle", SETTLED_S) == []
        fault = "etcd without a quorum under sagas: UNAVAILABLE, nothing recorded, all read"
        check(judge, fault, 1, coordinator.life, participants.life, models)


def _readable(client: Client, models: Iterable[str]) -> list[tuple[str, int, int]]:
    """Where each model's version is, how long its history is and how far its operations are."""
    found = []
    for model_id in models:
        status = client.lifecycle.status(model_id, MOVED)
        history = list(client.lifecycle.list_transitions(model_id))
        revisions = [operation.revision for operation in client.lifecycle.list_operations(model_id=model_id)]
        found.append((status.state, len(history), sum(revisions)))
    return found


def rewind(etcd: EtcdCluster, snapshot: Path) -> None:
    """All members go back to the snapshot."""
    for server in etcd.servers:
        server.stop()
    with ThreadPoolExecutor(len(etcd.servers)) as threads:
        list(threads.map(lambda server: server.restore(snapshot), etcd.servers))


def stopping(before: str, first: int) -> Mapping[str, Point]:
    """Models whose coordinator is to stop before what begins with `before`, a handful."""
    chosen = [point for point in POINTS if point.what.startswith(before) and point.when == "before"]
    return {
        Script(saga=at.saga, fails_at=at.fails_at, number=first + number).model_id: at
        for number, at in enumerate(chosen[:: max(1, len(chosen) // 4)])
    }


def test_etcd_restored_from_a_snapshot_of_the_past_gives_a_hung_coordinator_nothing_back(
    etcd: EtcdCluster, places: Places, tmp_path: Path, judge: Judge
) -> None:
    batch = {**stopping("commit", 0), **stopping("execute", 100), **stopping("compensate", 200)}
    models = [*batch]
    snapshot = tmp_path / "snapshot"
    with reborn(run_participants, places) as participants, reborn(run_coordinator, places) as zombie:
        etcd.servers[0].snapshot(snapshot)
        for first in (300, 320):  # which takes etcd's revisions far beyond the snapshot's
            models += begin_slowly(zombie.life, participants.life, deployments(first, 8), 0.0)
            assert zombie.life.ask("settle", SETTLED_S) == []
        zombie.life.say("begin", batch, signal.SIGSTOP)
        zombie.life.until_stopped()
        former = tokens(participants.life)
        rewind(etcd, snapshot)
        assert etcd.servers[0].revision() < min(token & (1 << TOKEN_BITS) - 1 for token in former.values())
        with reborn(run_coordinator, places) as successor:
            assert successor.life.ask("settle", SETTLED_S) == []
            zombie.life.resume()
            zombie.life.heard()
            assert zombie.life.ask("settle", SETTLED_S) == []
            # What it was about to do arrives some time after it has heard that its lease is gone.
            until(lambda: all(life.ask("refusals") > 0 for life in (zombie.life, participants.life)), within=ARRIVES_S)
            refused = zombie.life.ask("refusals"), participants.life.ask("refusals")
            later = tokens(participants.life)
            grown = [model_id for model_id in batch if model_id in former and later[model_id] > former[model_id]]
            assert grown, "nobody took over what participants had heard of"
            assert all(later[model_id] >> TOKEN_BITS > former[model_id] >> TOKEN_BITS for model_id in grown)
            fault = f"etcd rewound under sagas: refused {refused[0]} times by the database, {refused[1]} by participants"
            check(judge, fault, 1, successor.life, participants.life, models)


def tokens(participants: Life) -> dict[str, int]:
    """The newest with which each model was written for."""
    return {write.model_id: write.fence for write in participants.ask("writes")}


def test_of_deployments_of_one_model_asked_of_two_coordinators_at_once_one_wins(
    places: Places, tmp_path: Path, judge: Judge
) -> None:
    script = Script(saga="deploy", fails_at="", number=1)
    with ExitStack() as stack:
        participants = stack.enter_context(reborn(run_participants, places)).life
        coordinators = [stack.enter_context(reborn(run_coordinator, places)).life for _ in range(2)]
        crowd = stack.enter_context(callers(4, tmp_path))
        targets = [coordinator.ask("serve") for coordinator in coordinators]
        client = stack.enter_context(connect(targets[0]))
        known(client, script)
        slow = [Trouble(what="execute load", kind=Kind.SLOW, seconds=AT_WORK_S)]
        participants.ask("trouble", {script.model_id: slow})
        wishes = [Wish(method="deploy", arguments=(script.model_id, MOVED), named={"request_id": name}) for name in ("a", "b")]
        heard = crowd.race(wishes, *targets)
        (operation_id,) = {one.operation_id for one in heard if one.operation_id}
        refused = {one.reason for one in heard if not one.operation_id}
        assert refused <= REFUSED
        again = crowd.race([Wish(method="get_operation", arguments=(operation_id,))], *targets)
        assert {one.operation_id for one in again} == {operation_id}
        for coordinator in coordinators:
            assert coordinator.ask("settle", SETTLED_S) == []
        assert client.lifecycle.status(script.model_id, MOVED).state == "serving"
        fault = f"{len(heard)} deployments of one model asked of two coordinators at once"
        check(judge, fault, len(heard), coordinators[1], participants, [script.model_id])
