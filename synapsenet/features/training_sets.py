"""Training sets: what is asked for, and the building of one from the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from synapsenet.clock import micros
from synapsenet.errors import InvalidArgument
from synapsenet.features.catalogue import Catalogue
from synapsenet.features.columns import Columns, check_type
from synapsenet.features.instants import check_instants
from synapsenet.features.mirror import Mirror
from synapsenet.features.model import ColumnType, Knowledge, TrainingSet, ValueType, check_name, check_text
from synapsenet.features.options import FeaturesOptions
from synapsenet.features.ports import History, JoinedGroup, JoinQuery
from synapsenet.features.references import Selection, resolve
from synapsenet.platform.artifacts import ArtifactStore

INSTANT = "instant"
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSetWish:
    """A training set to be.

    Attributes:
        spine: entity keys of every group, and further columns, which are carried along.
        instants: int64 µs since 1970, one a row, or one for all.
        features: `group:feature` references.
        max_age: events older than this at their row's instant are left out; None for no limit.
        known_by: values that arrived later are left out; None for no limit.
    """

    name: str
    spine: Columns
    instants: NDArray[np.int64]
    features: tuple[str, ...]
    max_age: timedelta | None = None
    knowledge: Knowledge = Knowledge.LATEST
    known_by: datetime | None = None

    def __post_init__(self) -> None:
        check_text(self.name, LONGEST_NAME, field="name")
        if self.max_age is not None and self.max_age <= timedelta(0):
            raise InvalidArgument("MAX_AGE_NOT_POSITIVE", field="max_age", remedy="give a positive age, or leave it out")
        if len(self.instants) not in (1, self.spine.rows):
            raise InvalidArgument(
                "INSTANTS_COUNT",
                f"{len(self.instants)} instants for {self.spine.rows} rows",
                field="spine.instants_us",
                remedy="give one a row, or one for all",
            )
        check_instants(self.instants, field="spine.instants_us")
        for column in self.spine.columns:
            check_name(column.name, field="spine.columns.columns.name")
            if column.name == INSTANT:
                raise InvalidArgument("NAME_TAKEN", "a spine column is called instant", field="spine", remedy="rename it")


class Builder:
    """Builds training sets: first everything acknowledged is brought into the history, then that is joined to the spine."""

    def __init__(
        self, *, mirror: Mirror, history: History, artifacts: ArtifactStore, catalogue: Catalogue, options: FeaturesOptions
    ) -> None:
        self._mirror = mirror
        self._history = history
        self._artifacts = artifacts
        self._catalogue = catalogue
        self._options = options

    async def build(self, wish: TrainingSetWish, *, id: str, now: datetime) -> TrainingSet:
        """The training set, its bytes stored, not yet recorded.

        Raises:
            InvalidArgument: SPINE_SIZE, COLUMN_MISSING, COLUMN_TYPE, ENTITY_KEY_NULL, or as `references.resolve`.
            NotFound: GROUP_UNKNOWN or FEATURE_UNKNOWN.
            ResourceExhausted: ARTIFACT_TOO_LARGE, JOIN_TOO_LARGE or STORAGE_FULL.
            DataLoss: HISTORY_UNREADABLE.
        """
        if not 1 <= wish.spine.rows <= self._options.spine_rows:
            raise InvalidArgument(
                "SPINE_SIZE",
                f"the spine has {wish.spine.rows} rows",
                field="spine",
                remedy=f"give 1 to {self._options.spine_rows}",
            )
        selections = resolve(wish.features, lambda name: self._catalogue.get(name, field="features"))
        _check_keys(selections, wish.spine)
        position = await self._mirror.flush()
        async with self._history.join(_query(wish, selections)) as joined:
            artifact = await self._artifacts.write(joined.chunks(), limit=self._options.training_set_bytes)
            missing = joined.missing
        values = [_named(each, feature.column) for each in selections for feature in each.features]
        return TrainingSet(
            id=id,
            name=wish.name,
            columns=(
                *(column.type for column in wish.spine.columns),
                ColumnType(name=INSTANT, type=ValueType.TIMESTAMP),
                *values,
            ),
            features=tuple(column.name for column in values),
            rows=wish.spine.rows,
            missing=missing,
            sha256=artifact.sha256,
            size=artifact.size,
            max_age=wish.max_age,
            knowledge=wish.knowledge,
            known_by=wish.known_by,
            position=position,
            created_at=now,
        )


def _query(wish: TrainingSetWish, selections: Sequence[Selection]) -> JoinQuery:
    return JoinQuery(
        spine=wish.spine,
        instants=np.broadcast_to(wish.instants, (wish.spine.rows,)),
        groups=tuple(
            JoinedGroup(each.entry.group.id, each.entry.group.name, each.entry.group.entity_keys, each.features)
            for each in selections
        ),
        max_age=wish.max_age,
        knowledge=wish.knowledge,
        known_by=None if wish.known_by is None else micros(wish.known_by),
    )


def _named(selection: Selection, column: ColumnType) -> ColumnType:
    name = f"{selection.entry.group.name}:{column.name}"
    return ColumnType(name=name, type=column.type, vector_length=column.vector_length)


def _check_keys(selections: Sequence[Selection], spine: Columns) -> None:
    for selection in selections:
        for key in selection.entry.group.entity_keys:
            check_type(spine.require(key.column, field="spine").type, key.column, field="spine")
