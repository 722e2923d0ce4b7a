"""Feature groups and training sets: what they are and what makes them valid."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from synapsenet.errors import InvalidArgument
from synapsenet.features.sla import ConsistencyPolicy, FreshnessSla

RESERVED = frozenset({"event_time", "ingest_time", "instant", "sequence"})
LONGEST_VECTOR = 65_536
MOST_KEYS = 8
MOST_FEATURES = 1_000
MOST_LABELS = 64
LONGEST_LABEL = 63
LONGEST_DESCRIPTION = 1_000

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class ValueType(Enum):
    """The type of a scalar or of a vector's elements. TIMESTAMP is int64 microseconds since 1970-01-01T00:00:00Z."""

    BOOL = "BOOL"
    INT32 = "INT32"
    INT64 = "INT64"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    STRING = "STRING"
    BYTES = "BYTES"
    TIMESTAMP = "TIMESTAMP"

    @property
    def sized(self) -> bool:
        """Whether every value takes the same room."""
        return self not in (ValueType.STRING, ValueType.BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """A column's name and type; `vector_length` is 0 for scalars."""

    name: str
    type: ValueType
    vector_length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityKey:
    """One part of an entity's identity: INT64 or STRING."""

    name: str
    type: ValueType

    def __post_init__(self) -> None:
        check_name(self.name, field="group.entity_keys.name")
        if self.type not in (ValueType.INT64, ValueType.STRING):
            raise InvalidArgument(
                "ENTITY_KEY_TYPE",
                f"entity key {self.name} has type {self.type.value}",
                field="group.entity_keys.type",
                remedy="make it INT64 or STRING",
            )

    @property
    def column(self) -> ColumnType:
        return ColumnType(name=self.name, type=self.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One typed feature; `vector_length` elements, or a scalar if it is 0."""

    name: str
    type: ValueType
    vector_length: int = 0
    description: str = ""

    def __post_init__(self) -> None:
        check_name(self.name, field="group.features.name")
        check_text(self.description, LONGEST_DESCRIPTION, field="group.features.description")
        vectors = self.type.sized and self.type is not ValueType.TIMESTAMP
        lengths = f"1 to {LONGEST_VECTOR}, or 0 for a scalar" if vectors else "0: only numbers and BOOL make vectors"
        if not 0 <= self.vector_length <= (LONGEST_VECTOR if vectors else 0):
            raise InvalidArgument(
                "VECTOR_LENGTH",
                f"feature {self.name} of type {self.type.value} has vector length {self.vector_length}",
                field="group.features.vector_length",
                remedy=f"give {lengths}",
            )

    @property
    def column(self) -> ColumnType:
        return ColumnType(name=self.name, type=self.type, vector_length=self.vector_length)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGroup:
    """Features that are written together under the same entity keys and event time.

    Attributes:
        id: of this incarnation; online values and history stand under it.
        revision: grows by one with each change of anything.
        schema_version: grows by one with each change of the features.
    """

    id: str
    name: str
    entity_keys: tuple[EntityKey, ...]
    features: tuple[Feature, ...]
    created_at: datetime
    updated_at: datetime
    description: str = ""
    sla: FreshnessSla | None = None
    max_age: timedelta | None = None
    consistency: ConsistencyPolicy | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = 1
    revision: int = 1

    def __post_init__(self) -> None:
        check_name(self.name, field="group.name")
        check_text(self.description, LONGEST_DESCRIPTION, field="group.description")
        check_count(len(self.entity_keys), MOST_KEYS, field="group.entity_keys")
        check_count(len(self.features), MOST_FEATURES, field="group.features")
        if self.max_age is not None and self.max_age <= timedelta(0):
            raise InvalidArgument("MAX_AGE_NOT_POSITIVE", field="group.max_age", remedy="give a positive age, or leave it out")
        names = Counter([key.name for key in self.entity_keys] + [feature.name for feature in self.features])
        for name, count in names.items():
            if count > 1 or name in RESERVED:
                raise InvalidArgument(
                    "NAME_TAKEN",
                    f"{name} is {'reserved' if name in RESERVED else 'used twice'} in group {self.name}",
                    field="group.features.name",
                    remedy="give every key and feature a name of its own",
                )
        self._check_labels()

    def _check_labels(self) -> None:
        if len(self.labels) > MOST_LABELS or any(
            not key or max(len(key), len(value)) > LONGEST_LABEL for key, value in self.labels.items()
        ):
            raise InvalidArgument(
                "LABELS_TOO_LARGE",
                field="group.labels",
                remedy=f"give up to {MOST_LABELS} labels of up to {LONGEST_LABEL} characters",
            )


class Knowledge(Enum):
    """Which values count as known at an instant of a spine: the corrected history, or what had arrived by then."""

    LATEST = "LATEST"
    AT_INSTANT = "AT_INSTANT"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """An immutable table built by a point-in-time join; its bytes are the artifact `sha256`.

    Attributes:
        columns: entity keys and further columns of the spine, `instant`, then the references as they were asked for.
        features: the `group:feature` references.
        missing: for each reference, rows without a value.
        position: the change log's position up to which writes were certainly considered.
    """

    id: str
    name: str
    columns: tuple[ColumnType, ...]
    features: tuple[str, ...]
    rows: int
    missing: tuple[int, ...]
    sha256: str
    size: int
    max_age: timedelta | None
    knowledge: Knowledge
    known_by: datetime | None
    position: int
    created_at: datetime


def check_name(name: str, *, field: str) -> None:
    """Raises: InvalidArgument: NAME_INVALID."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            "NAME_INVALID",
            f"{name!r} is no name",
            field=field,
            remedy="begin with a lower-case letter, go on with lower-case letters, digits and underscores, 63 at most",
        )


def check_text(text: str, longest: int, *, field: str) -> None:
    """Raises: InvalidArgument: TEXT_TOO_LONG."""
    if len(text) > longest:
        raise InvalidArgument("TEXT_TOO_LONG", field=field, remedy=f"give up to {longest} characters")


def check_count(count: int, most: int, *, field: str) -> None:
    """Raises: InvalidArgument: COUNT_INVALID."""
    if not 1 <= count <= most:
        raise InvalidArgument("COUNT_INVALID", f"{field} has {count} entries", field=field, remedy=f"give 1 to {most}")
