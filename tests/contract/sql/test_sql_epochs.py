"""Epochs over SQL rows, on each database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.epochs import SqlEpochs
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.postgres_server import open_postgres
from synapsenet.clock import SystemClock
from tests.contract.databases import KINDS


@pytest.fixture(params=KINDS)
async def epochs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlEpochs]:
    if request.param == "sqlite":
        async with open_coordination(tmp_path / "coordination.sqlite") as database:
            yield SqlEpochs(database)
    else:
        options: PostgresOptions = request.getfixturevalue("postgres_options")
        async with open_postgres(options, SystemClock()) as server:
            yield server.epochs


async def test_each_counter_grows_from_one(epochs: SqlEpochs) -> None:
    assert [await epochs.raised("etcd", above=0) for _ in range(3)] == [1, 2, 3]
    assert await epochs.raised("another", above=0) == 1


async def test_a_counter_that_was_set_back_itself_goes_on_above_what_others_know_of_it(epochs: SqlEpochs) -> None:
    assert [await epochs.raised("etcd", above=above) for above in (7, 3, 8, 20)] == [8, 9, 10, 21]


async def test_of_many_who_raise_it_together_each_gets_a_number_of_its_own(epochs: SqlEpochs) -> None:
    assert sorted(await asyncio.gather(*(epochs.raised("etcd", above=0) for _ in range(8)))) == list(range(1, 9))
