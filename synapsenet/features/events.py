"""What happens to groups and training sets, as the area's event log tells it."""

from __future__ import annotations

from dataclasses import dataclass

from synapsenet.features.model import FeatureGroup, TrainingSet


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGroupCreated:
    group: FeatureGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGroupUpdated:
    group: FeatureGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGroupDeleted:
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSetBuilt:
    training_set: TrainingSet
