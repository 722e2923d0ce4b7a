"""What can happen to a model; each is recorded under the aggregate `model/ID`."""

from __future__ import annotations

from dataclasses import dataclass

from synapsenet.models.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCreated:
    model: Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUpdated:
    model: Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDeleted:
    model: Model


def aggregate(model_id: str) -> str:
    return f"model/{model_id}"
