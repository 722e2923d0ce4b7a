"""What a version of a model is, and what may be said about it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from synapsenet.errors import Aborted, InvalidArgument
from synapsenet.registry.signature import Signature

_DESCRIPTION_CHARACTERS = 4_096
_REFERENCE_CHARACTERS = 1_024
_METRICS = 256
_LABELS = 64
_KEY_CHARACTERS = 63
_VALUE_CHARACTERS = 256
_ALIAS = re.compile(r"[a-z][a-z0-9-]{0,62}")


class State(StrEnum):
    """Where a version is in its life."""

    CREATED = "created"
    TRAINING = "training"
    VALIDATING = "validating"
    REGISTERED = "registered"
    DEPLOYING = "deploying"
    SERVING = "serving"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


class Format(StrEnum):
    """How an artifact's bytes are to be read. No format can carry code that the platform runs."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is wrong with a version in the state that it is in; never a state of its own.

    Attributes:
        reason: stable UPPER_SNAKE_CASE name.
        message: one sentence for people.
        operation_id: the lifecycle operation that met it; empty: none.
        needs_attention: the platform has done what it can.
        since: None until the registry has recorded it.
    """

    reason: str
    message: str = ""
    operation_id: str = ""
    needs_attention: bool = False
    since: datetime | None = None

    def __post_init__(self) -> None:
        if not self.reason:
            raise InvalidArgument(
                "CONDITION_INVALID",
                "condition.reason: a condition without a reason says nothing",
                field="condition.reason",
                remedy="name it in UPPER_SNAKE_CASE, or leave the condition out",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a version came from; empty: not known."""

    run_id: str = ""
    job_id: str = ""
    training_set_id: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionArtifact:
    """The file of a version.

    Attributes:
        sha256: its name in the artifact store.
        size: bytes.
    """

    format: Format
    sha256: str
    size: int
    uploaded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version as it is.

    Attributes:
        number: the model's own count, gapless from 1.
        condition: None: nothing is wrong.
        signature: as declared, else as the artifact says; None: not known.
        artifact: None until it was uploaded; it never changes afterwards.
        offered: the artifact has come, and the lifecycle's coordinator has yet to take it; it is part of the next update.
        sealed: no alias may point to it any more.
        sequence: of the coordinator's event that state and condition are of; 0: it has said nothing yet. No part of what the
            version is.
        revision: grows by one with every update, from 1.
        aliases: those that point here, in the order of their names; filled in by whoever reads, moving one is no update.
    """

    model_id: str
    model_name: str
    number: int
    state: State
    condition: Condition | None = None
    description: str = ""
    source: Source = Source()
    signature: Signature | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    artifact: VersionArtifact | None = None
    offered: bool = False
    sealed: bool = False
    sequence: int = field(default=0, compare=False)
    revision: int = 1
    created_at: datetime
    updated_at: datetime
    aliases: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        return f"r{self.revision}"

    @property
    def title(self) -> str:
        """How people call it, `digits:3`."""
        return f"{self.model_name}:{self.number}"

    def expect(self, etag: str) -> None:
        """Pass if `etag` is empty or this version's.

        Raises:
            Aborted: VERSION_CHANGED, somebody updated the version since that etag was read.
        """
        if etag and etag != self.etag:
            raise self.changed_since(etag)

    def changed_since(self, etag: str) -> Aborted:
        """What to tell somebody whose wish is based on what the version no longer is."""
        return Aborted(
            "VERSION_CHANGED",
            f"version {self.title} was updated since etag {etag} was read",
            remedy="read it again and repeat the change on what it is now",
            metadata={"model_id": self.model_id, "version": str(self.number), "etag": self.etag},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionWish:
    """A version that somebody wants to exist, of the model with that id or name.

    Raises:
        InvalidArgument: DESCRIPTION_TOO_LONG, SOURCE_TOO_LONG, METRICS_INVALID or LABELS_INVALID.
    """

    model: str
    description: str = ""
    source: Source = Source()
    signature: Signature | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_words(self.description, self.metrics, self.labels)
        if len(self.source.reference) > _REFERENCE_CHARACTERS:
            raise InvalidArgument(
                "SOURCE_TOO_LONG", field="source.reference", remedy=f"shorten it to {_REFERENCE_CHARACTERS:,} characters"
            )

    def granted(self, *, model_id: str, model_name: str, number: int, at: datetime) -> Version:
        """The version that this wish becomes."""
        return Version(
            model_id=model_id,
            model_name=model_name,
            number=number,
            state=State.CREATED,
            description=self.description,
            source=self.source,
            signature=self.signature,
            metrics=self.metrics,
            labels=self.labels,
            created_at=at,
            updated_at=at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChange:
    """What to change in a version; None leaves it as it is.

    Attributes:
        etag: what the change is based on; empty: whatever the version is.

    Raises:
        InvalidArgument: UPDATE_EMPTY, DESCRIPTION_TOO_LONG, METRICS_INVALID or LABELS_INVALID.
    """

    description: str | None = None
    metrics: Mapping[str, float] | None = None
    labels: Mapping[str, str] | None = None
    etag: str = ""

    def __post_init__(self) -> None:
        if self.description is None and self.metrics is None and self.labels is None:
            raise InvalidArgument(
                "UPDATE_EMPTY",
                "update_mask: names nothing to change",
                field="update_mask",
                remedy="name at least one of description, metrics, labels",
            )
        check_words(self.description or "", self.metrics or {}, self.labels or {})

    def applied(self, version: Version, at: datetime) -> Version:
        """`version` with the change made.

        Raises:
            Aborted: VERSION_CHANGED, the change is based on an older state.
        """
        version.expect(self.etag)
        return replace(
            version,
            description=version.description if self.description is None else self.description,
            metrics=version.metrics if self.metrics is None else self.metrics,
            labels=version.labels if self.labels is None else self.labels,
            revision=version.revision + 1,
            updated_at=at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A name that points to one version of a model and can be moved."""

    model_id: str
    name: str
    number: int
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A model as the registry knows it, from its first version on.

    Attributes:
        versions: how many there are, which is also the number of the newest.
        closed: no version will ever be added; the model is gone, or going.
    """

    id: str
    name: str
    versions: int = 0
    closed: bool = False


def check_alias(name: str) -> None:
    """Pass if `name` may be an alias.

    Raises:
        InvalidArgument: ALIAS_INVALID.
    """
    if not _ALIAS.fullmatch(name):
        raise InvalidArgument(
            "ALIAS_INVALID",
            f"alias: {name[:64]!r} cannot be an alias",
            field="alias",
            remedy="use a lower-case letter, then up to 62 of lower-case letters, digits and '-'",
        )


def check_words(description: str, metrics: Mapping[str, float], labels: Mapping[str, str]) -> None:
    """Pass if what people say about a version keeps its bounds.

    Raises:
        InvalidArgument: DESCRIPTION_TOO_LONG, METRICS_INVALID or LABELS_INVALID.
    """
    if len(description) > _DESCRIPTION_CHARACTERS:
        raise InvalidArgument(
            "DESCRIPTION_TOO_LONG", field="description", remedy=f"shorten it to {_DESCRIPTION_CHARACTERS:,} characters"
        )
    if len(metrics) > _METRICS or not all(
        0 < len(key) <= _VALUE_CHARACTERS and math.isfinite(value) for key, value in metrics.items()
    ):
        raise InvalidArgument(
            "METRICS_INVALID",
            field="metrics",
            remedy=f"give up to {_METRICS} finite numbers, with names of 1 to {_VALUE_CHARACTERS} characters",
        )
    if len(labels) > _LABELS or not all(
        0 < len(key) <= _KEY_CHARACTERS and len(value) <= _VALUE_CHARACTERS for key, value in labels.items()
    ):
        raise InvalidArgument(
            "LABELS_INVALID",
            field="labels",
            remedy=f"give up to {_LABELS}, keys of 1 to {_KEY_CHARACTERS} and values of up to {_VALUE_CHARACTERS} characters",
        )
