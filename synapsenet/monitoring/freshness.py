"""Freshness from ages: pure arithmetic over arrays, in whole microseconds until it becomes milliseconds for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synapsenet.clock import instant, micros
from synapsenet.monitoring.model import Basis, EntityFreshness, GroupAges, GroupFreshness, Quantiles, Scope, Sla, State

_MICROSECOND = timedelta(microseconds=1)

Micros = NDArray[np.int64]


def group_freshness(ages: GroupAges, *, now: datetime, top_k: int = 0) -> GroupFreshness:
    """How fresh the group of `ages` is, with its `top_k` stalest entities; `now` is when the answer is given."""
    kept = _kept(ages, ~ages.deleted)
    judged = _Judged(kept)
    empty = not kept.entities
    newest = int(kept.event_times.max()) if not empty else None
    return GroupFreshness(
        group=ages.group,
        state=_group_state(ages, judged),
        sla=ages.sla,
        newest=None if newest is None else instant(newest),
        oldest=None if empty else instant(int(kept.event_times.min())),
        newest_age=None if empty else float(judged.event_ages.min()) / 1_000,
        event_age=_quantiles(judged.event_ages),
        ingest_age=_quantiles(judged.ingest_ages),
        ingest_lag=_quantiles(kept.ingest_times - kept.event_times),
        stale=int(judged.stale.sum()),
        stale_fraction=None if empty or ages.sla is None else float(judged.stale.mean()),
        tracked=len(kept.entities),
        deleted=int(ages.deleted.sum()),
        as_of=ages.as_of,
        lag=max(0.0, (now - ages.as_of) / timedelta(milliseconds=1)),
        stalest=_stalest(kept, judged, top_k),
    )


def entity_freshness(ages: GroupAges) -> list[EntityFreshness]:
    """How fresh each entity of `ages` is, in their order."""
    judged = _Judged(ages)
    return [judged.entity(index) for index in range(len(ages.entities))]


class _Judged:
    """The ages of entities in µs, and what the SLA says of each."""

    def __init__(self, ages: GroupAges) -> None:
        self._ages = ages
        now = micros(ages.as_of)
        self.event_ages: Micros = np.maximum(now - ages.event_times, 0)
        self.ingest_ages: Micros = np.maximum(now - ages.ingest_times, 0)
        self.skewed = ages.event_times > now
        sla = ages.sla
        counted = self.ingest_ages if sla is not None and sla.basis is Basis.INGEST else self.event_ages
        self.counted = counted
        self.stale = _above(counted, None if sla is None else sla.error_after)
        self.warned = _above(counted, None if sla is None else sla.warn_after) & ~self.stale

    def entity(self, index: int) -> EntityFreshness:
        ages = self._ages
        return EntityFreshness(
            group=ages.group,
            entity=ages.entities[index],
            state=self._state(index),
            event_time=instant(int(ages.event_times[index])),
            ingest_time=instant(int(ages.ingest_times[index])),
            event_age=float(self.event_ages[index]) / 1_000,
            ingest_age=float(self.ingest_ages[index]) / 1_000,
            ingest_lag=float(ages.ingest_times[index] - ages.event_times[index]) / 1_000,
            stale_at=self._stale_at(index),
        )

    def _state(self, index: int) -> State:
        if self._ages.deleted[index]:
            return State.DELETED
        if self.stale[index]:
            return State.STALE
        if self.warned[index]:
            return State.WARN
        if self.skewed[index]:
            return State.SKEWED
        return State.NO_SLA if self._ages.sla is None else State.FRESH

    def _stale_at(self, index: int) -> datetime | None:
        sla = self._ages.sla
        if sla is None or sla.scope is Scope.GROUP or self._ages.deleted[index]:
            return None
        times = self._ages.ingest_times if sla.basis is Basis.INGEST else self._ages.event_times
        try:
            return instant(int(times[index])) + sla.error_after
        except OverflowError:  # past the year 9999
            return None


def _group_state(ages: GroupAges, judged: _Judged) -> State:
    if not len(judged.stale):
        return State.DELETED if ages.entities else State.NEVER_WRITTEN
    sla = ages.sla
    if sla is not None and _exceeded(judged.stale, judged.counted, sla):
        return State.STALE
    if sla is not None and _exceeded(judged.stale | judged.warned, judged.counted, sla):
        return State.WARN
    if judged.skewed.any() and (sla is None or sla.basis is Basis.EVENT):
        return State.SKEWED
    return State.NO_SLA if sla is None else State.FRESH


def _exceeded(over: NDArray[np.bool_], counted: Micros, sla: Sla) -> bool:
    """Whether the group is over a limit, given which of its entities are: its newest value, or too many of all."""
    if sla.scope is Scope.GROUP:
        return bool(over[counted.argmin()])
    return bool(over.mean() > sla.max_stale_fraction)


def _above(ages: Micros, limit: timedelta | None) -> NDArray[np.bool_]:
    return np.zeros(len(ages), dtype=bool) if limit is None else ages > limit // _MICROSECOND


def _stalest(ages: GroupAges, judged: _Judged, top_k: int) -> tuple[EntityFreshness, ...]:
    if not top_k:
        return ()
    oldest_first: Sequence[Any] = np.argsort(-judged.counted, kind="stable")[:top_k].tolist()
    return tuple(judged.entity(index) for index in oldest_first)


def _quantiles(ages: Micros) -> Quantiles | None:
    """In milliseconds, without interpolation: each is the age of some entity."""
    if not len(ages):
        return None
    p50, p95, p99, most = (np.quantile(ages, [0.5, 0.95, 0.99, 1.0], method="inverted_cdf") / 1_000).tolist()
    return Quantiles(p50=p50, p95=p95, p99=p99, max=most)


def _kept(ages: GroupAges, mask: NDArray[np.bool_]) -> GroupAges:
    if mask.all():
        return ages
    return replace(
        ages,
        entities=[entity for entity, kept in zip(ages.entities, mask, strict=True) if kept],
        event_times=ages.event_times[mask],
        ingest_times=ages.ingest_times[mask],
        deleted=ages.deleted[mask],
    )
