"""What can happen in the registry; each is recorded under the aggregate `model/ID`, so a model's events have one order."""

from __future__ import annotations

from dataclasses import dataclass

from synapsenet.registry.model import Alias, Condition, State, Version, VersionArtifact


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCreated:
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUpdated:
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactUploaded:
    model_id: str
    number: int
    artifact: VersionArtifact


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionMoved:
    """A version changed its state, or its condition, or both."""

    model_id: str
    number: int
    old: State
    new: State
    condition: Condition | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasSet:
    alias: Alias


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasDeleted:
    alias: Alias


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelClosed:
    model_id: str


def aggregate(model_id: str) -> str:
    return f"model/{model_id}"
