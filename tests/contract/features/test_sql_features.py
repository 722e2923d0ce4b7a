"""The features' records on every database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from synapsenet.adapters.sql.features import SqlFeaturesWork, metadata
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.errors import AlreadyExists
from synapsenet.features.model import ColumnType, FeatureGroup, Knowledge, TrainingSet, ValueType
from synapsenet.features.ports import FeaturesWork
from synapsenet.features.sla import FreshnessSla
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.testing.clock import NOON, FakeClock
from synapsenet.testing.features import sample_group
from tests.contract.databases import OpenRecords


@pytest.fixture
async def work(records: OpenRecords) -> AsyncIterator[SqlWork[SqlFeaturesWork]]:
    async with records("features", metadata=metadata, unit=SqlFeaturesWork, clock=FakeClock()) as opened:
        yield opened


def training_set(number: int, minutes: int = 0) -> TrainingSet:
    return TrainingSet(
        id=f"ts-{number}",
        name="digits",
        columns=(ColumnType(name="users:embedding", type=ValueType.FLOAT, vector_length=2),),
        features=("users:embedding",),
        rows=3,
        missing=(1,),
        sha256="ab" * 32,
        size=10,
        max_age=timedelta(days=1),
        knowledge=Knowledge.AT_INSTANT,
        known_by=NOON,
        position=7,
        created_at=NOON + timedelta(minutes=minutes),
    )


def add(tx: FeaturesWork, *, group: FeatureGroup | None = None, training_set: TrainingSet | None = None) -> None:
    if group is not None:
        tx.groups.add(group)
    if training_set is not None:
        tx.training_sets.add(training_set)


def training_sets(tx: FeaturesWork, *, wanted: PageRequest) -> Page[TrainingSet]:
    return tx.training_sets.page(wanted)


async def test_a_group_comes_back_as_it_was_stored(work: SqlWork[SqlFeaturesWork]) -> None:
    group = sample_group(
        sla=FreshnessSla(error_after=timedelta(milliseconds=1500), warn_after=timedelta(seconds=1), max_stale_fraction=0.1),
        max_age=timedelta(microseconds=1),
        labels={"team": "ads"},
    )
    await work.run(lambda tx: tx.groups.add(group))
    assert await work.read(lambda tx: tx.groups.find("users")) == group
    assert await work.read(lambda tx: tx.groups.find("nobody")) is None


async def test_two_groups_cannot_have_one_name(work: SqlWork[SqlFeaturesWork]) -> None:
    await work.run(lambda tx: tx.groups.add(sample_group("fg-1")))
    with pytest.raises(AlreadyExists) as refusal:
        await work.run(lambda tx: tx.groups.add(sample_group("fg-2")))
    assert refusal.value.reason == "GROUP_NAME_TAKEN"


async def test_a_deleted_group_frees_its_name_and_is_remembered_until_it_is_purged(work: SqlWork[SqlFeaturesWork]) -> None:
    await work.run(lambda tx: tx.groups.add(sample_group("fg-1")))
    await work.run(lambda tx: tx.groups.delete("fg-1"))
    await work.run(lambda tx: tx.groups.add(sample_group("fg-2")))
    assert await work.read(lambda tx: [group.id for group in tx.groups.all()]) == ["fg-2"]
    assert await work.read(lambda tx: list(tx.groups.deleted())) == ["fg-1"]
    await work.run(lambda tx: tx.groups.purged("fg-1"))
    assert await work.read(lambda tx: list(tx.groups.deleted())) == []


async def test_a_change_of_a_group_replaces_it(work: SqlWork[SqlFeaturesWork]) -> None:
    await work.run(lambda tx: tx.groups.add(sample_group()))
    changed = replace(sample_group(), description="new", revision=2)
    await work.run(lambda tx: tx.groups.replace(changed))
    assert await work.read(lambda tx: tx.groups.find("users")) == changed


async def test_groups_are_paged_by_name(work: SqlWork[SqlFeaturesWork]) -> None:
    for number, name in enumerate(["c", "a", "b"]):
        await work.run(partial(add, group=sample_group(f"fg-{number}", name)))
    first = await work.read(lambda tx: tx.groups.page(PageRequest(size=2)))
    rest = await work.read(lambda tx: tx.groups.page(PageRequest(size=2, token=first.next_token)))
    assert [[group.name for group in page.items] for page in (first, rest)] == [["a", "b"], ["c"]]
    assert rest.next_token == ""


async def test_a_training_set_comes_back_as_it_was_stored(work: SqlWork[SqlFeaturesWork]) -> None:
    await work.run(lambda tx: tx.training_sets.add(training_set(1)))
    assert await work.read(lambda tx: tx.training_sets.find("ts-1")) == training_set(1)


async def test_training_sets_are_paged_newest_first_also_where_instants_are_equal(work: SqlWork[SqlFeaturesWork]) -> None:
    for number, minutes in [(1, 5), (2, 0), (3, 5), (4, 9)]:
        await work.run(partial(add, training_set=training_set(number, minutes)))
    seen: list[str] = []
    token = ""
    for _ in range(4):
        page = await work.read(partial(training_sets, wanted=PageRequest(size=1, token=token)))
        seen += [found.id for found in page.items]
        token = page.next_token
    assert (seen, token) == (["ts-4", "ts-3", "ts-1", "ts-2"], "")
