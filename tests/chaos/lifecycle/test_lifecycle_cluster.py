"""Coordinators on PostgreSQL and etcd: one hangs past its lease and comes back, servers die under them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from synapsenet.lifecycle.sagas import SAGAS
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.killed import run_coordinator, run_participants
from tests.chaos.lifecycle.lives import reborn
from tests.chaos.lifecycle.points import NOWHERE, Point, points
from tests.chaos.lifecycle.scripts import Script
from tests.chaos.lifecycle.stores import AREA, Places
from tests.chaos.lifecycle.verdicts import check
from tests.cluster import until
from tests.etcd_server import EtcdServer, etcd_server
from tests.postgres_server import RunningPostgres, postgres_server

SETTLED_S = 40.0
ARRIVES_S = 20.0
TOGETHER = 10
RESTARTS = int(os.environ.get("CHAOS_LIFECYCLE_RESTARTS", "2"))
POINTS = tuple(point for point in points(SAGAS.all(), everywhere=False) if point.who == "coordinator")


@pytest.fixture(scope="module")
def postgres() -> Iterator[RunningPostgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdServer]:
    with etcd_server() as running:
        yield running


@pytest.fixture
def places(postgres: RunningPostgres, etcd: EtcdServer, tmp_path: Path) -> Places:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{AREA}" CASCADE'.encode())
    return Places(folder=tmp_path, postgres=postgres.url, etcd=etcd.endpoint)


@pytest.mark.parametrize("what", ["commit", "execute", "compensate"])
def test_a_coordinator_that_hangs_past_its_lease_is_refused_whatever_it_was_about_to_do(
    what: str, places: Places, judge: Judge
) -> None:
    chosen = [point for point in POINTS if point.what.startswith(what) and point.when == "before"]
    batch = {
        Script(saga=at.saga, fails_at=at.fails_at, number=number).model_id: at
        for number, at in enumerate(chosen[:: max(1, len(chosen) // TOGETHER)])
    }
    with (
        reborn(run_participants, places) as participants,
        reborn(run_coordinator, places) as zombie,
        reborn(run_coordinator, places) as successor,
    ):
        zombie.life.say("begin", batch, signal.SIGSTOP)
        zombie.life.until_stopped()
        assert successor.life.ask("settle", SETTLED_S) == []
        zombie.life.resume()
        zombie.life.heard()
        assert zombie.life.ask("settle", SETTLED_S) == []
        # What it was about to do arrives some time after it has heard that its lease is gone.
        until(lambda: (zombie if what == "commit" else participants).life.ask("refusals") > 0, within=ARRIVES_S)
        by_database, by_participants = zombie.life.ask("refusals"), participants.life.ask("refusals")
        fault = f"coordinator stopped before {what}: refused {by_database} times here, {by_participants} there"
        check(judge, fault, 1, successor.life, participants.life, batch)


def test_postgres_killed_in_the_middle_of_sagas_leaves_none_of_them_in_the_middle(
    postgres: RunningPostgres, places: Places, judge: Judge
) -> None:
    with reborn(run_participants, places) as participants, reborn(run_coordinator, places) as coordinator:
        batch: dict[str, Point] = {}
        for restart in range(RESTARTS):
            fails_at = ("", "warm_up")[restart % 2]
            more = {Script(saga="deploy", fails_at=fails_at, number=restart * 100 + n).model_id: NOWHERE for n in range(6)}
            batch |= more
            coordinator.life.ask("begin", more)
            time.sleep(0.05 * restart)
            postgres.kill()
            postgres.start()
            assert coordinator.life.ask("settle", SETTLED_S) == []
        check(judge, "PostgreSQL killed in the middle of sagas", RESTARTS, coordinator.life, participants.life, batch)


def test_without_etcd_nothing_begins_and_what_had_begun_ends_when_it_is_back(
    etcd: EtcdServer, places: Places, judge: Judge
) -> None:
    with reborn(run_participants, places) as participants, reborn(run_coordinator, places) as coordinator:
        begun = {Script(saga="deploy", fails_at="", number=n).model_id: NOWHERE for n in range(6)}
        coordinator.life.ask("begin", begun)
        etcd.kill()
        refused = {Script(saga="promote", fails_at="", number=n).model_id: NOWHERE for n in range(3)}
        assert all("op-" not in answer for answer in coordinator.life.ask("begin", refused))
        assert len(coordinator.life.ask("entries")) > 0  # what is written is read all the same
        etcd.start()
        assert coordinator.life.ask("settle", SETTLED_S) == []
        check(judge, "etcd killed in the middle of sagas", 1, coordinator.life, participants.life, begun | refused)
