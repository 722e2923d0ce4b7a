"""Epochs over SQL rows."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.epochs import SqlEpochs


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_coordination(tmp_path / "coordination.sqlite") as opened:
        yield opened


@pytest.fixture
def epochs(database: Database) -> SqlEpochs:
    return SqlEpochs(database)


def showing(value: int) -> Callable[[], Awaitable[int]]:
    async def seen() -> int:
        return value

    return seen


async def test_an_epoch_stands_while_its_counter_grows(epochs: SqlEpochs) -> None:
    assert [await epochs.epoch("etcd", showing(value)) for value in (5, 5, 9)] == [0, 0, 0]


async def test_a_counter_that_was_set_back_begins_the_next_epoch_and_grows_in_it(epochs: SqlEpochs) -> None:
    assert [await epochs.epoch("etcd", showing(value)) for value in (100, 40, 41, 60, 59)] == [0, 1, 1, 1, 2]
    assert await epochs.epoch("another", showing(1)) == 0


async def test_a_value_read_before_another_reported_a_higher_one_begins_no_epoch(epochs: SqlEpochs) -> None:
    await epochs.epoch("etcd", showing(10))
    read, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> int:
        read.set()
        await go_on.wait()
        return 11

    asking = asyncio.create_task(epochs.epoch("etcd", slow))
    await read.wait()
    assert await epochs.epoch("etcd", showing(12)) == 0
    go_on.set()
    assert await asking == 0
    assert await epochs.epoch("etcd", showing(11)) == 1  # the highest value was kept


async def test_two_who_find_one_restored_counter_begin_one_epoch(epochs: SqlEpochs) -> None:
    await epochs.epoch("etcd", showing(100))
    restored = itertools.count(50)

    async def growing() -> int:
        return next(restored)

    assert await asyncio.gather(*(epochs.epoch("etcd", growing) for _ in range(8))) == [1] * 8
