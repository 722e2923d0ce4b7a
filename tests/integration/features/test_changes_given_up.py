"""A group's change whose caller gives up after its commit: the store serves what the records say, as after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.lmdb.online_store import open_online_store
from synapsenet.adapters.parquet.history import open_history
from synapsenet.adapters.sql.features import SqlFeaturesWork, metadata
from synapsenet.adapters.sql.work import SqlWork, open_work
from synapsenet.errors import NotFound
from synapsenet.features.options import FeaturesOptions
from synapsenet.features.service import Features, Resources
from synapsenet.ids import SeededIds
from synapsenet.platform.work import ANONYMOUS
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.features import sample_group

T = TypeVar("T")
DEADLINE = 10.0


class Held:
    """Units of work that commit, and then keep their answer back until `gate` is open."""

    def __init__(self, work: SqlWork[SqlFeaturesWork]) -> None:
        self._work = work
        self.gate = asyncio.Event()
        self.committed = asyncio.Event()

    async def run(self, commit: Callable[[SqlFeaturesWork], T]) -> T:
        result = await self._work.run(commit)
        self.committed.set()
        await self.gate.wait()
        return result

    async def read(self, query: Callable[[SqlFeaturesWork], T]) -> T:
        return await self._work.read(query)


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[tuple[Features, Held]]:
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        opened = open_work(
            tmp_path / "features.sqlite",
            area="features",
            metadata=metadata,
            unit=SqlFeaturesWork,
            clock=clock,
            event_ids=SeededIds("event", 1),
        )
        work = Held(await stack.enter_async_context(opened))
        features = Features(
            Resources(
                work=work,
                store=await stack.enter_async_context(open_online_store(tmp_path / "online", FeaturesOptions().online)),
                history=await stack.enter_async_context(open_history(tmp_path / "history", join_memory_mb=64)),
                artifacts=open_artifacts(tmp_path / "artifacts", clock),
                clock=clock,
                group_ids=SeededIds("fg", 1),
                training_set_ids=SeededIds("ts", 1),
                options=FeaturesOptions(),
            )
        )
        await features.start()
        stack.push_async_callback(features.stop)
        yield features, work


async def give_up(work: Held, call: Any) -> None:
    """Let `call` commit, give it up, and let the answer come that nobody waits for."""
    work.gate.clear()
    work.committed.clear()
    calling = asyncio.create_task(call)
    await asyncio.wait_for(work.committed.wait(), DEADLINE)
    calling.cancel()
    await asyncio.wait([calling])
    assert calling.cancelled()
    work.gate.set()


async def test_a_change_that_was_committed_is_served_although_its_caller_gave_up(held: tuple[Features, Held]) -> None:
    features, work = held
    name = sample_group().name
    await give_up(work, features.create_group(lambda group_id, _now: replace(sample_group(), id=group_id), ANONYMOUS))
    await features.stop()
    assert features.get_group(name).name == name

    await give_up(work, features.update_group(name, {"description": "newer"}, ANONYMOUS))
    await features.stop()
    assert features.get_group(name).description == "newer"

    await give_up(work, features.delete_group(name))
    await features.stop()
    with pytest.raises(NotFound):
        features.get_group(name)
    assert await work.read(lambda tx: tx.groups.deleted()) == []
