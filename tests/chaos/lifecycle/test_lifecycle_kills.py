"""kill -9 before and after every commit and every call of every saga, forward and back, of whoever does it."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import pytest

from synapsenet.lifecycle.sagas import SAGAS
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.killed import run_coordinator, run_participants
from tests.chaos.lifecycle.lives import Life, reborn
from tests.chaos.lifecycle.points import INSIDE, NOWHERE, Point, points
from tests.chaos.lifecycle.scripts import Script
from tests.chaos.lifecycle.stores import Places
from tests.chaos.lifecycle.verdicts import check
from tests.postgres_server import postgres_server

EVERYWHERE = bool(int(os.environ.get("CHAOS_EVERY_POINT", "0")))
TOGETHER = 12
SETTLED_S = 45.0

ALL = tuple(points(SAGAS.all(), everywhere=EVERYWHERE))
KINDS = ("sqlite", "postgres") if EVERYWHERE else ("sqlite",)


def kills(chosen: Iterable[Point]) -> Iterator[Mapping[str, Point]]:
    """Which models one kill meets, each at its point; at most one of them inside a commit, for there is one writer."""
    chosen = list(chosen)
    inside = [point for point in chosen if point.when == INSIDE]
    outside = [point for point in chosen if point.when != INSIDE]
    numbers = itertools.count(1)
    while inside or outside:
        batch = [inside.pop(0)] if inside else []
        room = TOGETHER - len(batch)
        batch, outside = [*outside[:room], *batch], outside[room:]
        yield {Script(saga=at.saga, fails_at=at.fails_at, number=next(numbers)).model_id: at for at in batch}


@pytest.fixture(params=KINDS)
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Places]:
    if request.param == "sqlite":
        yield Places(folder=tmp_path)
    else:
        with postgres_server() as server:
            yield Places(folder=tmp_path, postgres=server.url)


def settled(life: Life) -> None:
    assert life.ask("settle", SETTLED_S) == []


def test_a_coordinator_killed_anywhere_ends_what_it_began_or_undoes_all_of_it(places: Places, judge: Judge) -> None:
    chosen = [point for point in ALL if point.who == "coordinator"]
    batches = list(kills(chosen))
    begun = time.monotonic()
    with reborn(run_participants, places) as participants, reborn(run_coordinator, places) as coordinator:
        for batch in batches:
            coordinator.life.say("begin", batch)
            settled(coordinator.again())
        covered = f"points covered {len(chosen)} of {len(chosen)} generated, {time.monotonic() - begun:.0f} s"
        check(
            judge,
            f"coordinator killed ({covered})",
            len(batches),
            coordinator.life,
            participants.life,
            chain.from_iterable(batches),
        )


def test_participants_killed_anywhere_have_done_each_step_once_or_undone_it(places: Places, judge: Judge) -> None:
    chosen = [point for point in ALL if point.who == "participant"]
    batches = list(kills(chosen))
    begun = time.monotonic()
    with reborn(run_participants, places) as participants, reborn(run_coordinator, places) as coordinator:
        for batch in batches:
            participants.life.ask("doom", batch)
            coordinator.life.ask("begin", dict.fromkeys(batch, NOWHERE))
            participants.again()
            settled(coordinator.life)
        covered = f"points covered {len(chosen)} of {len(chosen)} generated, {time.monotonic() - begun:.0f} s"
        check(
            judge,
            f"participants killed ({covered})",
            len(batches),
            coordinator.life,
            participants.life,
            chain.from_iterable(batches),
        )
