"""An area that is opened with brokers named: what it commits arrives on its topic, through as many shards as are set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData

from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.models import SqlModelsWork, metadata
from synapsenet.adapters.sql.work import CommitContext, SqlWork, open_work
from synapsenet.clock import SystemClock
from synapsenet.ids import RandomIds
from synapsenet.models.events import ModelCreated, ModelDeleted, aggregate
from synapsenet.models.model import Model
from synapsenet.models.model import Task as ModelTask
from synapsenet.testing.clock import NOON
from synapsenet_api.platform.v1.event_pb2 import Event
from synapsenet_servers.bootstrap.relay import relayed
from synapsenet_servers.bootstrap.role import Task, W
from tests.contract.databases import in_background
from tests.kafka_server import KafkaServer, kafka_server
from tests.relayed_events import EventReader, judge

AREA = "models"
MODELS = 40
ARRIVED_S = 20.0


@pytest.fixture
def broker() -> Iterator[KafkaServer]:
    with kafka_server() as running:
        yield running


@asynccontextmanager
async def opened(folder: Path, options: KafkaOptions) -> AsyncIterator[tuple[SqlWork[SqlModelsWork], list[Task]]]:
    """The area `models` as a process opens it, its relays at work; and what it has in the background."""
    clock = SystemClock()

    def records(
        area: str, *, metadata: MetaData, unit: Callable[[Connection, CommitContext], W]
    ) -> AbstractAsyncContextManager[SqlWork[W]]:
        path = folder / f"{area}.sqlite"
        return open_work(path, area=area, metadata=metadata, unit=unit, clock=clock, event_ids=RandomIds("event"))

    tasks: list[Task] = []
    async with open_coordination(folder / "coordination.sqlite") as coordination:
        opening = relayed(records, options, locks=SqlLocks(coordination, clock), clock=clock, holder="test", background=tasks)
        async with opening(AREA, metadata=metadata, unit=SqlModelsWork) as work, in_background() as background:
            for task in tasks:
                background(task.name, task.run)
            yield work, tasks


def model(number: int) -> Model:
    return Model(
        id=f"mdl-{number}",
        name=f"model-{number}",
        description="",
        labels={},
        task=ModelTask.UNSPECIFIED,
        revision=1,
        created_at=NOON,
        updated_at=NOON,
    )


def appending(number: int, kind: type[ModelCreated] | type[ModelDeleted]) -> Callable[[SqlModelsWork], int]:
    """The commit of one event."""
    return lambda tx: tx.events.append(aggregate(f"mdl-{number}"), kind(model=model(number)))


@pytest.mark.parametrize("shards", [1, 3])
async def test_what_is_committed_arrives_in_the_order_of_each_aggregate(
    shards: int, broker: KafkaServer, tmp_path: Path
) -> None:
    options = KafkaOptions(brokers=(broker.address,), shards=shards)
    async with opened(tmp_path, options) as (work, tasks):
        assert [task.name for task in tasks] == [f"relay/{AREA}/{number}" for number in range(shards)]
        for number in range(MODELS):
            await work.run(appending(number, ModelCreated))
        for number in range(MODELS):
            await work.run(appending(number, ModelDeleted))

        def read() -> list[Event]:
            with closing(EventReader(broker.address, options.topic_of(AREA))) as reader:
                reader.await_topic(seconds=ARRIVED_S)
                seen = reader.read_until(lambda seen: len(seen) >= 2 * MODELS, seconds=ARRIVED_S)
                verdict = judge(seen, {f"model/mdl-{number}": 2 for number in range(MODELS)})
                assert (verdict.lost, verdict.reordered, verdict.duplicates, verdict.strangers) == (0, 0, 0, 0)
                return [Event.FromString(message.value() or b"") for message in reader.messages]

        events = await asyncio.to_thread(read)
    first = next(event for event in events if event.aggregate == "model/mdl-7")
    assert (first.type, json.loads(first.record_json)["model"]["name"]) == ("ModelCreated", "model-7")


async def test_without_brokers_an_area_has_no_relays(tmp_path: Path) -> None:
    async with opened(tmp_path, KafkaOptions()) as (_, tasks):
        assert tasks == []
