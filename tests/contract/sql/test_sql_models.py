"""The models' suites over SQLite, and its schema against its migrations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from synapsenet.adapters.sql.models import SqlModelsWork, metadata
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.models.model import ModelChange, ModelWish
from synapsenet.platform.work import ANONYMOUS
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.models import KnownVersions, ModelCatalogueContract, ModelsContract, catalogue
from tests.contract.databases import OpenRecords


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry() -> KnownVersions:
    return KnownVersions()


@pytest.fixture
async def work(records: OpenRecords, clock: FakeClock) -> AsyncIterator[SqlWork[SqlModelsWork]]:
    async with records("models", metadata=metadata, unit=SqlModelsWork, clock=clock) as opened:
        yield opened


class TestSqlModels(ModelsContract):
    """The shared suite."""


class TestModelCatalogue(ModelCatalogueContract):
    """The shared suite."""


async def test_every_change_of_a_model_is_an_event_of_its_own(
    work: SqlWork[SqlModelsWork], registry: KnownVersions, clock: FakeClock
) -> None:
    models = catalogue(work, registry, clock)
    created = await models.create(ModelWish(name="digits"), ANONYMOUS)
    await models.update(created.id, ModelChange(description="new"), ANONYMOUS)
    await models.delete(created.id, etag="")
    seen = []
    async for event in work.feed.watch(after=0, aggregate=f"model/{created.id}"):
        seen.append((event.sequence, event.type))
        if len(seen) == 3:
            break
    assert seen == [(1, "ModelCreated"), (2, "ModelUpdated"), (3, "ModelDeleted")]
