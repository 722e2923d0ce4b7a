"""Freshness: the ages of a group's entities, what the group promises about them, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class State(Enum):
    """How fresh a group or an entity is."""

    NEVER_WRITTEN = "NEVER_WRITTEN"
    FRESH = "FRESH"
    WARN = "WARN"
    STALE = "STALE"
    DELETED = "DELETED"
    NO_SLA = "NO_SLA"
    SKEWED = "SKEWED"


class Basis(Enum):
    """The age that counts: that of the event, or of its arrival."""

    EVENT = "EVENT"
    INGEST = "INGEST"


class Scope(Enum):
    """Whether each entity has a deadline, or the group as a whole."""

    ENTITY = "ENTITY"
    GROUP = "GROUP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sla:
    """What a group promises, as far as its state depends on it. An age equal to a limit is within it.

    Attributes:
        max_stale_fraction: fraction of entities above a limit that is tolerated, in [0, 1).
    """

    error_after: timedelta
    warn_after: timedelta | None = None
    basis: Basis = Basis.EVENT
    scope: Scope = Scope.ENTITY
    max_stale_fraction: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupAges:
    """Entities of one group as the feature store has them at `as_of`; arrays have shape (entities,).

    Attributes:
        event_times, ingest_times: int64 µs since 1970.
        deleted: bool.
    """

    group: str
    sla: Sla | None
    as_of: datetime
    entities: list[str]
    event_times: NDArray[np.int64]
    ingest_times: NDArray[np.int64]
    deleted: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """A distribution of ages in milliseconds: p50 is the least age that half of the entities do not exceed, and so on."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityFreshness:
    """How fresh one entity is; ages in milliseconds.

    Attributes:
        ingest_lag: from the event to its arrival; negative if the event lay ahead.
        stale_at: when it becomes, or became, STALE; None without an SLA on entities, for deleted ones, and past
            the year 9999.
    """

    group: str
    entity: str
    state: State
    event_time: datetime
    ingest_time: datetime
    event_age: float
    ingest_age: float
    ingest_lag: float
    stale_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFreshness:
    """How fresh one group is; ages in milliseconds, None if never written. Deleted entities count in `deleted` alone.

    Attributes:
        stale_fraction: None without an SLA or entities.
        lag: how old these figures were when they were given.
        stalest: as many as were asked for, the oldest first.
    """

    group: str
    state: State
    sla: Sla | None
    newest: datetime | None
    oldest: datetime | None
    newest_age: float | None
    event_age: Quantiles | None
    ingest_age: Quantiles | None
    ingest_lag: Quantiles | None
    stale: int
    stale_fraction: float | None
    tracked: int
    deleted: int
    as_of: datetime
    lag: float
    stalest: tuple[EntityFreshness, ...]
