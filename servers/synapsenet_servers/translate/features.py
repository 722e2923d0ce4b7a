"""Feature groups and training sets on the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from synapsenet.features.ages import Ages
from synapsenet.features.model import EntityKey, Feature, FeatureGroup, Knowledge, TrainingSet
from synapsenet.features.sla import AgeBasis, ConsistencyPolicy, FeatureTolerance, FreshnessSla, SlaScope
from synapsenet_api.features.v1 import (
    feature_control_service_pb2,
    feature_group_pb2,
    feature_service_pb2,
    freshness_sla_pb2,
    training_set_pb2,
)
from synapsenet_servers.translate.columns import TYPES, column_type
from synapsenet_servers.translate.enums import Wire
from synapsenet_servers.translate.times import from_duration, to_duration, to_timestamp

KNOWLEDGE = Wire(Knowledge, training_set_pb2.Knowledge, "KNOWLEDGE_")

_BASES = Wire(AgeBasis, freshness_sla_pb2.AgeBasis, "AGE_BASIS_")
_SCOPES = Wire(SlaScope, freshness_sla_pb2.SlaScope, "SLA_SCOPE_")
_SPANS = ("pending_for", "keep_firing_for", "grace_on_create", "max_future_skew", "repeat_interval", "warn_after")


def group(found: FeatureGroup) -> feature_group_pb2.FeatureGroup:
    return feature_group_pb2.FeatureGroup(
        name=found.name,
        id=found.id,
        description=found.description,
        entity_keys=[feature_group_pb2.EntityKey(name=key.name, type=TYPES[key.type]) for key in found.entity_keys],
        features=[
            feature_group_pb2.Feature(
                name=feature.name,
                type=TYPES[feature.type],
                vector_length=feature.vector_length,
                description=feature.description,
            )
            for feature in found.features
        ],
        sla=None if found.sla is None else sla(found.sla),
        max_age=_duration(found.max_age),
        labels=found.labels,
        schema_version=found.schema_version,
        create_time=to_timestamp(found.created_at),
        update_time=to_timestamp(found.updated_at),
    )


def group_wish(wire: feature_group_pb2.FeatureGroup) -> Callable[[str, datetime], FeatureGroup]:
    """What makes the group that `wire` describes, of an id and the time."""
    entity_keys = tuple(
        EntityKey(name=key.name, type=TYPES.member(key.type, field="group.entity_keys.type")) for key in wire.entity_keys
    )
    features = tuple(_feature(feature) for feature in wire.features)
    changes = _changeable(wire)

    def made(id: str, now: datetime) -> FeatureGroup:
        return FeatureGroup(
            id=id, name=wire.name, entity_keys=entity_keys, features=features, created_at=now, updated_at=now, **changes
        )

    return made


def group_changes(request: feature_service_pb2.UpdateFeatureGroupRequest) -> dict[str, Any]:
    """The fields that the request's mask names, with their new values."""
    changes = {**_changeable(request.group), "features": None}
    return {path: changes.get(path) for path in request.update_mask.paths}


def _changeable(wire: feature_group_pb2.FeatureGroup) -> dict[str, Any]:
    return {
        "description": wire.description,
        "sla": _from_sla(wire.sla) if wire.HasField("sla") else None,
        "max_age": optional_span(wire, "max_age", field="group.max_age"),
        "consistency": _from_policy(wire.consistency) if wire.HasField("consistency") else None,
        "labels": dict(wire.labels),
    }


def _feature(wire: feature_group_pb2.Feature) -> Feature:
    return Feature(
        name=wire.name,
        type=TYPES.member(wire.type, field="group.features.type"),
        vector_length=wire.vector_length,
        description=wire.description,
    )


def sla(found: FreshnessSla) -> freshness_sla_pb2.FreshnessSla:
    return freshness_sla_pb2.FreshnessSla(
        error_after=to_duration(found.error_after),
        basis=_BASES[found.basis],
        scope=_SCOPES[found.scope],
        max_stale_fraction=found.max_stale_fraction,
        **{name: _duration(getattr(found, name)) for name in _SPANS},
    )


def _from_sla(wire: freshness_sla_pb2.FreshnessSla) -> FreshnessSla:
    spans = {name: span for name in _SPANS if (span := optional_span(wire, name, field=f"group.sla.{name}")) is not None}
    return FreshnessSla(
        error_after=from_duration(wire.error_after, field="group.sla.error_after"),
        basis=_BASES.member(wire.basis, field="group.sla.basis") if wire.basis else AgeBasis.EVENT,
        scope=_SCOPES.member(wire.scope, field="group.sla.scope") if wire.scope else SlaScope.ENTITY,
        max_stale_fraction=wire.max_stale_fraction,
        **spans,
    )


def _from_policy(wire: freshness_sla_pb2.ConsistencyPolicy) -> ConsistencyPolicy:
    return ConsistencyPolicy(
        period=optional_span(wire, "period", field="group.consistency.period"),
        sample_size=wire.sample_size,
        in_flight_grace=from_duration(wire.in_flight_grace, field="group.consistency.in_flight_grace"),
        absolute_tolerance=wire.absolute_tolerance,
        relative_tolerance=wire.relative_tolerance,
        max_mismatch_rate=wire.max_mismatch_rate,
        max_missing_rate=wire.max_missing_rate,
        max_psi=wire.max_psi,
        features=tuple(
            FeatureTolerance(
                feature=each.feature,
                absolute_tolerance=each.absolute_tolerance,
                relative_tolerance=each.relative_tolerance,
                max_mismatch_rate=each.max_mismatch_rate,
                max_psi=each.max_psi,
            )
            for each in wire.features
        ),
    )


def optional_span(message: Any, name: str, *, field: str) -> timedelta | None:
    """The duration that `message` has under `name`; None if it has none."""
    return from_duration(getattr(message, name), field=field) if message.HasField(name) else None


def _duration(span: timedelta | None) -> Duration | None:
    return None if span is None else to_duration(span)


def training_set(found: TrainingSet) -> training_set_pb2.TrainingSet:
    return training_set_pb2.TrainingSet(
        id=found.id,
        name=found.name,
        columns=[column_type(column) for column in found.columns],
        features=found.features,
        rows=found.rows,
        sha256=found.sha256,
        size_bytes=found.size,
        max_age=_duration(found.max_age),
        knowledge=KNOWLEDGE[found.knowledge],
        known_by=None if found.known_by is None else to_timestamp(found.known_by),
        position=found.position,
        create_time=to_timestamp(found.created_at),
        missing_fractions=[count / found.rows for count in found.missing],
    )


def ages(found: Ages) -> feature_control_service_pb2.StreamAgesResponse:
    return feature_control_service_pb2.StreamAgesResponse(
        group=None if found.group is None else group(found.group),
        as_of=to_timestamp(found.as_of),
        entities=found.entities,
        event_times_us=found.event_times.tolist(),
        ingest_times_us=found.ingest_times.tolist(),
        deleted=found.deleted.tolist(),
    )
