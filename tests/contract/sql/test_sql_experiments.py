"""The experiments' suites over every database, and what survives a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from synapsenet.adapters.sql.experiments import SqlExperimentsWork, metadata
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.experiments.ports import Window
from synapsenet.experiments.wishes import Ending, ExperimentWish, RunWish
from synapsenet.platform.work import ANONYMOUS
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.experiment_analysis import AnalysisContract
from synapsenet.testing.experiment_search import SearchContract
from synapsenet.testing.experiment_use_cases import TrackingContract, tracking
from synapsenet.testing.experiments import (
    ExperimentRecordsContract,
    SeriesContract,
    experiment,
    found,
    log,
    points,
    run,
    storing,
)
from tests.contract.databases import OpenRecords


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def opened(records: OpenRecords, clock: FakeClock) -> AbstractAsyncContextManager[SqlWork[SqlExperimentsWork]]:
    return records("experiments", metadata=metadata, unit=SqlExperimentsWork, clock=clock)


@pytest.fixture
async def work(records: OpenRecords, clock: FakeClock) -> AsyncIterator[SqlWork[SqlExperimentsWork]]:
    async with opened(records, clock) as work:
        yield work


class TestSqlExperimentRecords(ExperimentRecordsContract):
    """The shared suite."""


class TestSqlSeries(SeriesContract):
    """The shared suite."""


class TestSqlSearch(SearchContract):
    """The shared suite."""


class TestTracking(TrackingContract):
    """The shared suite."""


class TestAnalysis(AnalysisContract):
    """The shared suite."""


async def test_what_was_logged_is_there_after_a_restart(records: OpenRecords, clock: FakeClock) -> None:
    async with opened(records, clock) as work:
        await work.run(storing(experiment(), run(1, {"lr": 0.1})))
        await log(work, "run-0001", points([3.0, float("nan")]))
        before = await found(work, "run-0001")
    async with opened(records, clock) as work:
        assert str(await found(work, "run-0001")) == str(before)
        assert len(await work.read(lambda tx: tx.series.read("run-0001", "loss", Window(), limit=9))) == 2


async def test_a_runs_start_and_end_are_events_of_its_own(work: SqlWork[SqlExperimentsWork], clock: FakeClock) -> None:
    experiments = tracking(work, clock)
    created = await experiments.create(ExperimentWish(name="sweep"), ANONYMOUS)
    started = await experiments.start_run(RunWish(experiment_id=created.id), ANONYMOUS)
    await experiments.finish_run(started.id, Ending())
    await experiments.finish_run(started.id, Ending())
    await experiments.delete_run(started.id)
    seen = []
    async for event in work.feed.watch(after=0, aggregate=f"run/{started.id}"):
        seen.append((event.sequence, event.type))
        if event.type == "RunDeleted":
            break
    assert seen == [(1, "RunStarted"), (2, "RunEnded"), (3, "RunDeleted")]
