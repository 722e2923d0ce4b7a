"""PostgreSQL killed and started again in the middle of commits of sagas: none is lost, doubled or left in the middle."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from tests.chaos.lifecycle.commit_killer import CommitKiller, Moment, commit_killer
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.killed import run_coordinator, run_participants
from tests.chaos.lifecycle.lives import reborn
from tests.chaos.lifecycle.points import NOWHERE
from tests.chaos.lifecycle.scripts import Script
from tests.chaos.lifecycle.stores import Places
from tests.chaos.lifecycle.verdicts import check
from tests.etcd_server import etcd_server
from tests.postgres_server import RunningPostgres, postgres_server

RESTARTS = max(len(Moment), int(os.environ.get("CHAOS_LIFECYCLE_RESTARTS", "0")))
TOGETHER = 6
KILLED_S = 30.0
SETTLED_S = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where coordinators reach PostgreSQL through the proxy."""

    places: Places
    postgres: RunningPostgres
    killer: CommitKiller


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with postgres_server() as postgres, etcd_server() as etcd, commit_killer(postgres) as killer:
        places = Places(
            folder=tmp_path,
            postgres=f"postgresql://synapsenet@{killer.address}/synapsenet",
            password=str(postgres.password),
            etcd=etcd.endpoint,
        )
        yield Stand(places=places, postgres=postgres, killer=killer)


def test_postgres_killed_in_the_middle_of_a_commit_leaves_no_saga_in_the_middle(stand: Stand, judge: Judge) -> None:
    models: list[str] = []
    kills: Counter[Moment] = Counter()
    with reborn(run_participants, stand.places) as participants, reborn(run_coordinator, stand.places) as coordinator:
        for restart, moment in zip(range(RESTARTS), cycle(Moment), strict=False):
            scripts = [
                Script(saga="deploy", fails_at=("", "warm_up")[n % 2], number=100 * restart + n) for n in range(TOGETHER)
            ]
            more = [script.model_id for script in scripts]
            stand.killer.arm(moment, passing=TOGETHER + 3 * restart % (4 * TOGETHER))
            begun = coordinator.life.ask("begin", dict.fromkeys(more, NOWHERE))
            assert begun == [f"op-{model_id}" for model_id in more], begun
            assert stand.killer.killed.wait(KILLED_S), moment
            stand.postgres.start()
            kills[moment] += 1
            assert coordinator.life.ask("settle", SETTLED_S) == []
            models += more
        said = ", ".join(f"{count} times {moment.value}" for moment, count in kills.items())
        check(judge, f"PostgreSQL killed {said}", RESTARTS, coordinator.life, participants.life, models)
