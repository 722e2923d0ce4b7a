"""Freshness from ages: states at their exact boundaries, quantiles, counts, and what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from synapsenet.errors import InvalidArgument, NotFound, SynapseError
from synapsenet.monitoring.freshness import entity_freshness, group_freshness
from synapsenet.monitoring.model import Basis, GroupAges, GroupFreshness, Quantiles, Scope, Sla, State
from synapsenet.monitoring.options import MonitoringOptions
from synapsenet.monitoring.ports import AgeSource
from synapsenet.monitoring.service import FreshnessQuery, Monitoring
from synapsenet.platform.paging import PageRequest
from synapsenet.testing.clock import NOON, FakeClock

MS = 1_000  # µs
NOW = (NOON - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
SLA = Sla(error_after=timedelta(milliseconds=100), warn_after=timedelta(milliseconds=50))


def ages(
    *event: int, ingest: Sequence[int] = (), deleted: Sequence[int] = (), sla: Sla | None = SLA, group: str = "users"
) -> GroupAges:
    """A group whose entities `0`, `1`, … have these event and ingest ages in µs."""
    return GroupAges(
        group=group,
        sla=sla,
        as_of=NOON,
        entities=[str(index) for index in range(len(event))],
        event_times=NOW - np.array(event, dtype=np.int64),
        ingest_times=NOW - np.array(ingest or event, dtype=np.int64),
        deleted=np.isin(np.arange(len(event)), deleted),
    )


def group(found: GroupAges, top_k: int = 0) -> GroupFreshness:
    return group_freshness(found, now=NOON, top_k=top_k)


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (0, State.FRESH),
        (50 * MS, State.FRESH),
        (50 * MS + 1, State.WARN),
        (100 * MS, State.WARN),
        (100 * MS + 1, State.STALE),
        (-1, State.SKEWED),
    ],
)
def test_an_age_equal_to_a_limit_is_within_it(age: int, state: State) -> None:
    [entity] = entity_freshness(ages(age))
    assert entity.state is group(ages(age)).state is state


def test_an_event_ahead_of_the_clock_has_age_zero_and_a_negative_lag() -> None:
    [entity] = entity_freshness(ages(-5 * MS, ingest=[3 * MS]))
    assert (entity.event_age, entity.ingest_age, entity.ingest_lag) == (0.0, 3.0, -8.0)


def test_the_three_ages_are_kept_apart_in_milliseconds() -> None:
    found = group(ages(40 * MS + 500, 20 * MS, ingest=[10 * MS, 20 * MS]))
    assert found.event_age == Quantiles(p50=20.0, p95=40.5, p99=40.5, max=40.5)
    assert found.ingest_age == Quantiles(p50=10.0, p95=20.0, p99=20.0, max=20.0)
    assert found.ingest_lag == Quantiles(p50=0.0, p95=30.5, p99=30.5, max=30.5)


def test_quantiles_are_ages_that_some_entity_has() -> None:
    found = group(ages(*(age * MS for age in range(1, 101)), sla=None)).event_age
    assert found == Quantiles(p50=50.0, p95=95.0, p99=99.0, max=100.0)


def test_an_sla_on_arrivals_does_not_look_at_events() -> None:
    sla = replace(SLA, basis=Basis.INGEST)
    assert group(ages(10_000 * MS, ingest=[10 * MS], sla=sla)).state is State.FRESH
    assert group(ages(-1, ingest=[200 * MS], sla=sla)).state is State.STALE


def test_an_entity_becomes_stale_exactly_at_its_event_plus_the_sla() -> None:
    [entity] = entity_freshness(ages(30 * MS))
    assert entity.stale_at == NOON + timedelta(milliseconds=70)
    [entity] = entity_freshness(ages(30 * MS, ingest=[10 * MS], sla=replace(SLA, basis=Basis.INGEST)))
    assert entity.stale_at == NOON + timedelta(milliseconds=90)


def test_an_sla_that_outlasts_the_calendar_leaves_no_instant_at_which_it_ends() -> None:
    [entity] = entity_freshness(ages(0, sla=Sla(error_after=timedelta(days=3_600_000))))
    assert (entity.state, entity.stale_at) == (State.FRESH, None)


def test_a_tolerated_fraction_of_stale_entities_leaves_the_group_fresh() -> None:
    sla = replace(SLA, max_stale_fraction=0.25)
    assert group(ages(200 * MS, 0, 0, 0, sla=sla)).state is State.FRESH
    assert group(ages(200 * MS, 60 * MS, 0, 0, sla=sla)).state is State.WARN
    found = group(ages(200 * MS, 200 * MS, 0, 0, sla=sla))
    assert (found.state, found.stale, found.stale_fraction) == (State.STALE, 2, 0.5)


def test_one_live_key_keeps_a_group_fresh_only_where_the_group_has_the_deadline() -> None:
    many = [500 * MS] * 99 + [0]
    assert group(ages(*many)).state is State.STALE
    assert group(ages(*many, sla=replace(SLA, scope=Scope.GROUP))).state is State.FRESH
    assert entity_freshness(ages(0, sla=replace(SLA, scope=Scope.GROUP)))[0].stale_at is None


def test_deleted_entities_count_nowhere_else() -> None:
    found = group(ages(900 * MS, 10 * MS, deleted=[0]), top_k=5)
    assert (found.state, found.tracked, found.deleted, found.stale) == (State.FRESH, 1, 1, 0)
    assert found.event_age is not None
    assert found.event_age.max == 10.0
    assert [entity.entity for entity in found.stalest] == ["1"]
    assert [entity.state for entity in entity_freshness(ages(900 * MS, deleted=[0]))] == [State.DELETED]


def test_a_group_never_written_has_no_age_and_one_all_deleted_says_so() -> None:
    never = group(ages())
    assert (never.state, never.newest_age, never.event_age, never.stale_fraction) == (State.NEVER_WRITTEN, None, None, None)
    assert group(ages(5, deleted=[0])).state is State.DELETED


def test_without_an_sla_ages_are_told_and_not_judged() -> None:
    found = group(ages(9_000 * MS, sla=None))
    assert (found.state, found.newest_age, found.stale_fraction) == (State.NO_SLA, 9_000.0, None)


def test_the_stalest_come_oldest_first_and_no_more_than_asked_for() -> None:
    found = group(ages(10 * MS, 30 * MS, 20 * MS, 5 * MS), top_k=3)
    assert [(entity.entity, entity.event_age) for entity in found.stalest] == [("1", 30.0), ("2", 20.0), ("0", 10.0)]


class Told(AgeSource):
    """Ages as the test tells them."""

    def __init__(self, *groups: GroupAges) -> None:
        self._groups = {found.group: found for found in groups}

    async def groups(self, names: Sequence[str], *, timeout: float) -> list[str]:
        return list(names) or list(self._groups)

    async def ages(self, group: str, entities: Sequence[str], *, timeout: float) -> GroupAges:
        if group not in self._groups:
            raise NotFound("GROUP_UNKNOWN", f"there is no feature group {group}", field="group")
        found = self._groups[group]
        if not entities:
            return found
        kept = [index for index, entity in enumerate(found.entities) if entity in entities]
        return replace(
            found,
            entities=[found.entities[index] for index in kept],
            event_times=found.event_times[kept],
            ingest_times=found.ingest_times[kept],
            deleted=found.deleted[kept],
        )


def monitoring(*groups: GroupAges) -> Monitoring:
    return Monitoring(ages=Told(*groups), clock=FakeClock(), options=MonitoringOptions(entities_per_request=5, stalest=5))


async def pages(over: Monitoring, query: FreshnessQuery, size: int) -> list[list[str]]:
    seen, token = [], ""
    while True:
        found = await over.freshness(query, PageRequest(size=size, token=token))
        seen.append([each.group for each in found.groups.items] + [each.entity for each in found.entities.items])
        token = found.groups.next_token or found.entities.next_token
        if not token:
            return seen


async def test_groups_are_paged_by_name_and_filtered_by_state() -> None:
    over = monitoring(ages(0, group="c"), ages(0, group="a"), ages(200 * MS, group="b"), ages(0, group="d"))
    assert await pages(over, FreshnessQuery(), 3) == [["a", "b", "c"], ["d"]]
    assert await pages(over, FreshnessQuery(states=("FRESH",)), 2) == [["a", "c"], ["d"]]
    assert await pages(over, FreshnessQuery(states=("STALE", "WARN")), 2) == [["b"]]


async def test_entities_are_paged_by_their_text_and_filtered_by_state() -> None:
    over = monitoring(ages(0, 200 * MS, 0))
    assert await pages(over, FreshnessQuery(groups=("users",), entities=("2", "0", "1", "0")), 2) == [["0", "1"], ["2"]]
    assert await pages(over, FreshnessQuery(groups=("users",), entities=("2", "1"), states=("STALE",)), 2) == [["1"]]


@pytest.mark.parametrize(
    ("query", "kind", "reason", "field"),
    [
        (FreshnessQuery(states=("stale",)), InvalidArgument, "STATE_UNKNOWN", "state"),
        (FreshnessQuery(top_k=6), InvalidArgument, "TOP_K_RANGE", "top_k"),
        (FreshnessQuery(top_k=-1), InvalidArgument, "TOP_K_RANGE", "top_k"),
        (FreshnessQuery(entities=("1",)), InvalidArgument, "ENTITIES_WITHOUT_GROUP", "entity"),
        (FreshnessQuery(groups=("users", "a"), entities=("1",)), InvalidArgument, "ENTITIES_WITHOUT_GROUP", "entity"),
        (FreshnessQuery(groups=("users",), entities=tuple("123456")), InvalidArgument, "ENTITIES_COUNT", "entity"),
        (FreshnessQuery(groups=("ghost",)), NotFound, "GROUP_UNKNOWN", "group"),
        (FreshnessQuery(groups=("users",), entities=("0", "7")), NotFound, "ENTITY_NEVER_WRITTEN", "entity"),
    ],
)
async def test_a_question_without_an_answer_is_refused_naming_the_field(
    query: FreshnessQuery, kind: type[SynapseError], reason: str, field: str
) -> None:
    with pytest.raises(kind) as refusal:
        await monitoring(ages(0)).freshness(query, PageRequest())
    assert (refusal.value.reason, refusal.value.field) == (reason, field)


async def test_a_group_that_is_deleted_between_two_reads_is_left_out_unless_it_was_named() -> None:
    class Vanishing(Told):
        async def groups(self, names: Sequence[str], *, timeout: float) -> list[str]:
            return ["ghost", "users"]

    over = Monitoring(ages=Vanishing(ages(0)), clock=FakeClock(), options=MonitoringOptions())
    assert await pages(over, FreshnessQuery(), 9) == [["users"]]


def test_the_lag_is_how_old_the_figures_are_when_they_are_given() -> None:
    found: Any = group_freshness(ages(0), now=NOON + timedelta(milliseconds=7))
    assert found.lag == 7.0
