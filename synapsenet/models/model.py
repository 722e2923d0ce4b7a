"""What a model is, and what may be said about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from synapsenet.errors import Aborted, InvalidArgument

ID_KIND = "mdl"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DESCRIPTION_CHARACTERS = 4_096
_LABELS = 64
_LABEL_KEY_CHARACTERS = 63
_LABEL_VALUE_CHARACTERS = 256


class Task(StrEnum):
    """What a model is for."""

    UNSPECIFIED = "unspecified"
    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    RANKING = "ranking"
    FORECASTING = "forecasting"
    EMBEDDING = "embedding"
    GENERATION = "generation"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as it is.

    Attributes:
        id: never reused, also after the model was deleted.
        name: unique among the models that exist; it never changes.
        revision: grows by one with every update, from 1.
    """

    id: str
    name: str
    description: str
    labels: Mapping[str, str]
    task: Task
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        return f"r{self.revision}"

    def expect(self, etag: str) -> None:
        """Pass if `etag` is empty or this model's.

        Raises:
            Aborted: MODEL_CHANGED, somebody updated the model since that etag was read.
        """
        if etag and etag != self.etag:
            raise Aborted(
                "MODEL_CHANGED",
                f"model {self.name} was updated since etag {etag} was read",
                remedy="read it again and repeat the change on what it is now",
                metadata={"model_id": self.id, "etag": self.etag},
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWish:
    """A model that somebody wants to exist.

    Raises:
        InvalidArgument: MODEL_NAME_INVALID, DESCRIPTION_TOO_LONG or LABELS_INVALID.
    """

    name: str
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    task: Task = Task.UNSPECIFIED

    def __post_init__(self) -> None:
        # An id and a name can stand in the same place of a request, so no name may look like an id.
        if not _NAME.fullmatch(self.name) or self.name.startswith(f"{ID_KIND}-"):
            raise InvalidArgument(
                "MODEL_NAME_INVALID",
                f"name: {self.name[:128]!r} cannot be a model's name",
                field="name",
                remedy="use 1 to 128 of letters, digits, '.', '_' and '-', beginning with a letter or digit, not with 'mdl-'",
            )
        check_description(self.description)
        check_labels(self.labels)

    def granted(self, *, model_id: str, at: datetime) -> Model:
        """The model that this wish becomes."""
        return Model(
            id=model_id,
            name=self.name,
            description=self.description,
            labels=self.labels,
            task=self.task,
            revision=1,
            created_at=at,
            updated_at=at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChange:
    """What to change in a model; None leaves it as it is.

    Attributes:
        etag: what the change is based on; empty: whatever the model is.

    Raises:
        InvalidArgument: UPDATE_EMPTY, DESCRIPTION_TOO_LONG or LABELS_INVALID.
    """

    description: str | None = None
    labels: Mapping[str, str] | None = None
    task: Task | None = None
    etag: str = ""

    def __post_init__(self) -> None:
        if self.description is None and self.labels is None and self.task is None:
            raise InvalidArgument(
                "UPDATE_EMPTY",
                "update_mask: names nothing to change",
                field="update_mask",
                remedy="name at least one of description, labels, task",
            )
        if self.description is not None:
            check_description(self.description)
        if self.labels is not None:
            check_labels(self.labels)

    def applied(self, model: Model, at: datetime) -> Model:
        """`model` with the change made.

        Raises:
            Aborted: MODEL_CHANGED, the change is based on an older state.
        """
        model.expect(self.etag)
        return replace(
            model,
            description=model.description if self.description is None else self.description,
            labels=model.labels if self.labels is None else self.labels,
            task=model.task if self.task is None else self.task,
            revision=model.revision + 1,
            updated_at=at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQuery:
    """Which models a list shows.

    Attributes:
        prefix: what their names begin with, matching case; empty: all.
        task: None for all.
    """

    prefix: str = ""
    task: Task | None = None


def is_id(reference: str) -> bool:
    """Whether `reference` is a model's id and not its name."""
    return reference.startswith(f"{ID_KIND}-")


def check_description(description: str) -> None:
    if len(description) > _DESCRIPTION_CHARACTERS:
        raise InvalidArgument(
            "DESCRIPTION_TOO_LONG",
            f"description: {len(description):,} characters are too many",
            field="description",
            remedy=f"shorten it to {_DESCRIPTION_CHARACTERS:,}",
        )


def check_labels(labels: Mapping[str, str]) -> None:
    fits = len(labels) <= _LABELS and all(
        0 < len(key) <= _LABEL_KEY_CHARACTERS and len(value) <= _LABEL_VALUE_CHARACTERS for key, value in labels.items()
    )
    if not fits:
        raise InvalidArgument(
            "LABELS_INVALID",
            "labels: too many, or one is too long or has an empty key",
            field="labels",
            remedy=f"give up to {_LABELS}, keys of 1 to {_LABEL_KEY_CHARACTERS} and values of up to "
            f"{_LABEL_VALUE_CHARACTERS} characters",
        )
