"""Finding what a request names, or saying what is missing."""

from __future__ import annotations

from synapsenet.errors import NotFound
from synapsenet.registry.model import RegisteredModel, Version
from synapsenet.registry.ports import RegistryWork


def known_model(tx: RegistryWork, reference: str) -> RegisteredModel:
    """The model of that id or name, which has versions or had some asked for.

    Raises:
        NotFound: MODEL_UNKNOWN.
    """
    if (model := tx.models.find(reference)) is None:
        raise NotFound(
            "MODEL_UNKNOWN",
            f"there is no version of a model {reference}",
            field="model_id",
            remedy="list the models for the ids and names that there are",
            metadata={"model_id": reference},
        )
    return model


def known_version(tx: RegistryWork, reference: str, number: int) -> Version:
    """One version of the model of that id or name.

    Raises:
        NotFound: VERSION_UNKNOWN.
    """
    model = tx.models.find(reference)
    version = tx.versions.find(model.id, number) if model is not None else None
    if version is None:
        name = reference if model is None else model.name
        raise NotFound(
            "VERSION_UNKNOWN",
            f"model {name} has no version {number}",
            field="version",
            remedy="list the model's versions for the numbers that there are",
            metadata={"model_id": reference, "version": str(number)},
        )
    return version


def closed_model(model: RegisteredModel) -> NotFound:
    """What to tell somebody who wants a version of a model that is being deleted."""
    return NotFound(
        "MODEL_UNKNOWN",
        f"model {model.id} is being deleted",
        field="model_id",
        remedy="create a model of its own for the new version",
        metadata={"model_id": model.id},
    )
