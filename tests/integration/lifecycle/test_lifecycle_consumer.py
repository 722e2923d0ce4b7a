"""The consumer that the page of the lifecycle shows prints every event once, from a real broker."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO

import pytest
from sqlalchemy import Connection, MetaData

from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.work import CommitContext, SqlWork, open_work
from synapsenet.clock import SystemClock
from synapsenet.errors import DataLoss
from synapsenet.ids import RandomIds
from synapsenet.lifecycle.model import Condition
from synapsenet.testing.lifecycle_stage import MODEL, Stage, failing, staged
from synapsenet_api.platform.v1.event_pb2 import Event
from synapsenet_servers.bootstrap.relay import relayed
from synapsenet_servers.bootstrap.role import Task, W
from tests.contract.databases import in_background
from tests.kafka_server import KafkaServer, kafka_server

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "lifecycle_events.py"
CLOCK = SystemClock()
ARRIVED_S = 60.0
STOP_S = 15.0


@pytest.fixture
def broker() -> Iterator[KafkaServer]:
    with kafka_server() as running:
        yield running


@asynccontextmanager
async def relaying(folder: Path, brokers: str) -> AsyncIterator[Stage]:
    """A coordinator whose events pass on to `brokers`."""

    def records(
        area: str, *, metadata: MetaData, unit: Callable[[Connection, CommitContext], W]
    ) -> AbstractAsyncContextManager[SqlWork[W]]:
        path = folder / f"{area}.sqlite"
        return open_work(path, area=area, metadata=metadata, unit=unit, clock=CLOCK, event_ids=RandomIds("event"))

    tasks: list[Task] = []
    async with open_coordination(folder / "coordination.sqlite") as coordination:
        locks = SqlLocks(coordination, CLOCK)
        options = KafkaOptions(brokers=(brokers,))
        opening = relayed(records, options, locks=locks, clock=CLOCK, holder="test", background=tasks)
        async with opening("lifecycle", metadata=metadata, unit=SqlLifecycleWork) as work, in_background() as background:
            for task in tasks:
                background(task.name, task.run)
            async with staged(work, work.feed, locks, CLOCK) as stage:
                yield stage


@contextmanager
def printing(brokers: str, group: str) -> Iterator[IO[str]]:
    """What the example prints, run as a person runs it."""
    command = [sys.executable, str(EXAMPLE), "--brokers", brokers, "--group", group]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as consumer:
        assert consumer.stdout is not None
        try:
            yield consumer.stdout
        finally:
            consumer.kill()
            consumer.wait(STOP_S)


async def lines_until(printed: IO[str], last: str) -> list[str]:
    """What was printed, up to the line that ends with `last`."""
    lines: list[str] = []
    async with asyncio.timeout(ARRIVED_S):
        while not lines or not lines[-1].endswith(last):
            lines.append((await asyncio.to_thread(printed.readline)).rstrip("\n"))
            assert lines[-1], "the consumer ended"
    return lines


async def test_it_prints_a_failed_and_a_successful_deployment_in_their_order(broker: KafkaServer, tmp_path: Path) -> None:
    async with relaying(tmp_path, broker.address) as stage:
        stage.troupe.acts["execute load"] = failing(DataLoss("ARTIFACT_CORRUPT", "the file is damaged"), times=1)
        failed = await stage.ended(await stage.deploy(2))
        served = await stage.ended(await stage.deploy(1))
        wrong = Condition(reason="RELOAD_FAILED", message="no room")
        await stage.lifecycle.coordinator.report_condition(MODEL, 1, "inference/a", wrong)
        with printing(broker.address, "first") as printed:
            lines = await lines_until(printed, "digits:1 no room")
    numbers = [int(line.split()[1].removeprefix("#")) for line in lines]
    assert numbers == list(range(1, len(lines) + 1))
    assert {line.split()[0] for line in lines} == {f"model/{MODEL}"}
    told = [line.split(" ", 2)[2] for line in lines]
    expected = [
        "digits:2 · → registered (create) by ada: because",
        "digits:2 registered → deploying (deploy) by ada: because",
        f"version 2 load failed ({failed.id})",
        f"version 2 reserve compensated ({failed.id})",
        f"deploy of digits:2 compensated ({failed.id}): the file is damaged",
        "digits:1 registered → deploying (deploy) by ada: because",
        f"version 1 warm_up done ({served.id})",
        f"deploy of digits:1 succeeded ({served.id})",
    ]
    assert [line for line in told if line in expected] == expected, "\n".join(told)
    assert "digits:1 deploying → serving (begin_serving) by ada: because" in told


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lifecycle_events_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_drops_duplicates_and_tells_gaps_model_by_model(example: ModuleType) -> None:
    counts = example.Counts()
    arrived = [("a", 3), ("a", 4), ("b", 1), ("a", 3), ("a", 4), ("a", 7), ("b", 2)]
    missing = [counts.missing(Event(aggregate=f"model/{model}", sequence=sequence)) for model, sequence in arrived]
    assert missing == [0, 0, 0, None, None, 2, 0]


def test_what_a_newer_release_tells_is_named(example: ModuleType) -> None:
    assert example.sentence("VersionCloned", {"of": 1}) == "VersionCloned"
