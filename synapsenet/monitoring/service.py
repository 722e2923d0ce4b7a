"""Monitoring's use cases."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from synapsenet.clock import Clock
from synapsenet.errors import InvalidArgument, NotFound
from synapsenet.monitoring.freshness import entity_freshness, group_freshness
from synapsenet.monitoring.model import EntityFreshness, GroupFreshness, State
from synapsenet.monitoring.options import MonitoringOptions
from synapsenet.monitoring.ports import AgeSource
from synapsenet.platform.paging import Page, PageRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessQuery:
    """What freshness is asked for.

    Attributes:
        groups: names; all if empty.
        entities: of the one group that is named; empty asks for groups.
        states: names of states to which the answer is limited; any if empty.
        top_k: how many of each group's stalest entities to name.
    """

    groups: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    top_k: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """A page of groups, or of entities if the query names some; the instant to which ages were taken."""

    groups: Page[GroupFreshness]
    entities: Page[EntityFreshness]
    as_of: datetime


class Monitoring:
    """Tells how fresh features are."""

    def __init__(self, *, ages: AgeSource, clock: Clock, options: MonitoringOptions) -> None:
        self._ages = ages
        self._clock = clock
        self._options = options

    async def freshness(self, query: FreshnessQuery, page: PageRequest) -> Freshness:
        """How fresh groups are, by name, or entities, by their text.

        Raises:
            InvalidArgument: STATE_UNKNOWN, TOP_K_RANGE, ENTITIES_COUNT, ENTITIES_WITHOUT_GROUP, ENTITY_INVALID, or
                PAGE_TOKEN_INVALID.
            NotFound: GROUP_UNKNOWN or ENTITY_NEVER_WRITTEN, naming the first.
            Unavailable, DeadlineExceeded: the feature store does not answer.
        """
        states = frozenset(_state(name) for name in query.states) or frozenset(State)
        if not 0 <= query.top_k <= self._options.stalest:
            raise InvalidArgument("TOP_K_RANGE", field="top_k", remedy=f"give 0 to {self._options.stalest}")
        if query.entities:
            return await self._entities(query, states, page)
        return await self._groups(query, states, page)

    async def _groups(self, query: FreshnessQuery, states: frozenset[State], page: PageRequest) -> Freshness:
        names = sorted(set(await self._ages.groups(query.groups, timeout=self._options.ages_timeout_s)))
        after = page.after[0] if page.after is not None else ""
        found: list[GroupFreshness] = []
        for name in names:
            if name <= after:
                continue
            try:
                ages = await self._ages.ages(name, (), timeout=self._options.ages_timeout_s)
            except NotFound:
                if query.groups:
                    raise
                continue  # deleted since its name was read
            fresh = await asyncio.to_thread(group_freshness, ages, now=self._clock.now(), top_k=query.top_k)
            if fresh.state in states:
                found.append(fresh)
            if len(found) > page.limit:
                break
        groups = page.page(found, lambda group: [group.group])
        return Freshness(groups=groups, entities=Page((), ""), as_of=_oldest(groups, self._clock.now()))

    async def _entities(self, query: FreshnessQuery, states: frozenset[State], page: PageRequest) -> Freshness:
        if len(query.groups) != 1:
            raise InvalidArgument("ENTITIES_WITHOUT_GROUP", field="entity", remedy="name exactly one group with it")
        if len(query.entities) > self._options.entities_per_request:
            raise InvalidArgument(
                "ENTITIES_COUNT", field="entity", remedy=f"ask for up to {self._options.entities_per_request} at a time"
            )
        [group] = query.groups
        wanted = sorted(set(query.entities))
        ages = await self._ages.ages(group, wanted, timeout=self._options.ages_timeout_s)
        written = set(ages.entities)
        for entity in wanted:
            if entity not in written:
                raise NotFound(
                    "ENTITY_NEVER_WRITTEN",
                    f"entity {entity} of group {group} was never written",
                    field="entity",
                    remedy="write it first, or correct its spelling",
                    metadata={"group": group, "entity": entity},
                )
        after = page.after[0] if page.after is not None else ""
        found = [fresh for fresh in entity_freshness(ages) if fresh.state in states and fresh.entity > after]
        found.sort(key=lambda fresh: fresh.entity)
        entities = page.page(found, lambda entity: [entity.entity])
        return Freshness(groups=Page((), ""), entities=entities, as_of=ages.as_of)


def _state(name: str) -> State:
    try:
        return State[name]
    except KeyError:
        names = ", ".join(state.name for state in State)
        raise InvalidArgument(
            "STATE_UNKNOWN", f"{name!r} is no state of freshness", field="state", remedy=f"use some of {names}"
        ) from None


def _oldest(groups: Page[GroupFreshness], now: datetime) -> datetime:
    return min((group.as_of for group in groups.items), default=now)
