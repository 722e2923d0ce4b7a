"""Freshness on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from synapsenet.monitoring.model import Basis, EntityFreshness, GroupAges, GroupFreshness, Quantiles, Scope, Sla, State
from synapsenet.monitoring.service import Freshness, FreshnessQuery
from synapsenet_api.features.v1 import feature_control_service_pb2 as features_pb
from synapsenet_api.features.v1 import freshness_sla_pb2
from synapsenet_api.monitoring.v1 import freshness_pb2
from synapsenet_api.monitoring.v1 import monitoring_service_pb2 as pb
from synapsenet_servers.translate.enums import Wire
from synapsenet_servers.translate.times import from_duration, from_timestamp, to_duration, to_timestamp

_STATES = Wire(State, freshness_pb2.FreshnessState, "FRESHNESS_STATE_")
_BASES = Wire(Basis, freshness_sla_pb2.AgeBasis, "AGE_BASIS_")
_SCOPES = Wire(Scope, freshness_sla_pb2.SlaScope, "SLA_SCOPE_")


def freshness_query(request: pb.GetFreshnessRequest) -> FreshnessQuery:
    return FreshnessQuery(
        groups=tuple(request.group),
        entities=tuple(request.entity),
        states=tuple(request.state),
        top_k=request.top_k,
    )


def freshness(found: Freshness) -> pb.GetFreshnessResponse:
    return pb.GetFreshnessResponse(
        groups=map(_group, found.groups.items),
        entities=map(_entity, found.entities.items),
        as_of=to_timestamp(found.as_of),
        next_page_token=found.groups.next_token or found.entities.next_token,
    )


def _group(found: GroupFreshness) -> freshness_pb2.GroupFreshness:
    return freshness_pb2.GroupFreshness(
        group=found.group,
        state=_STATES[found.state],
        newest_event_time=_timestamp(found.newest),
        oldest_event_time=_timestamp(found.oldest),
        newest_age_ms=found.newest_age,
        age_ms=_quantiles(found.event_age),
        ingest_age_ms=_quantiles(found.ingest_age),
        ingest_lag_ms=_quantiles(found.ingest_lag),
        stale_count=found.stale,
        stale_fraction=found.stale_fraction,
        tracked=found.tracked,
        deleted=found.deleted,
        sla=None if found.sla is None else _sla(found.sla),
        as_of=to_timestamp(found.as_of),
        tracker_lag_ms=found.lag,
        stalest=map(_entity, found.stalest),
    )


def _entity(found: EntityFreshness) -> freshness_pb2.EntityFreshness:
    return freshness_pb2.EntityFreshness(
        group=found.group,
        entity=found.entity,
        state=_STATES[found.state],
        event_time=to_timestamp(found.event_time),
        ingest_time=to_timestamp(found.ingest_time),
        event_age_ms=found.event_age,
        ingest_age_ms=found.ingest_age,
        ingest_lag_ms=found.ingest_lag,
        stale_time=_timestamp(found.stale_at),
    )


def _quantiles(found: Quantiles | None) -> freshness_pb2.AgeQuantiles | None:
    if found is None:
        return None
    return freshness_pb2.AgeQuantiles(p50=found.p50, p95=found.p95, p99=found.p99, max=found.max)


def _timestamp(instant: datetime | None) -> Timestamp | None:
    return None if instant is None else to_timestamp(instant)


def _sla(found: Sla) -> freshness_sla_pb2.FreshnessSla:
    return freshness_sla_pb2.FreshnessSla(
        warn_after=None if found.warn_after is None else to_duration(found.warn_after),
        error_after=to_duration(found.error_after),
        basis=_BASES[found.basis],
        scope=_SCOPES[found.scope],
        max_stale_fraction=found.max_stale_fraction,
    )


def group_ages(pieces: Sequence[features_pb.StreamAgesResponse]) -> GroupAges:
    """One group's ages from the pieces in which the feature store sent them, the first of which has the group."""
    group = pieces[0].group
    return GroupAges(
        group=group.name,
        sla=_from_sla(group.sla) if group.HasField("sla") else None,
        as_of=from_timestamp(pieces[-1].as_of, field="as_of"),
        entities=[entity for piece in pieces for entity in piece.entities],
        event_times=np.concatenate([np.array(piece.event_times_us, dtype=np.int64) for piece in pieces]),
        ingest_times=np.concatenate([np.array(piece.ingest_times_us, dtype=np.int64) for piece in pieces]),
        deleted=np.concatenate([np.array(piece.deleted, dtype=bool) for piece in pieces]),
    )


def _from_sla(wire: freshness_sla_pb2.FreshnessSla) -> Sla:
    return Sla(
        error_after=from_duration(wire.error_after, field="sla.error_after"),
        warn_after=from_duration(wire.warn_after, field="sla.warn_after") if wire.HasField("warn_after") else None,
        basis=_BASES.member(wire.basis, field="sla.basis"),
        scope=_SCOPES.member(wire.scope, field="sla.scope"),
        max_stale_fraction=wire.max_stale_fraction,
    )
