"""Serving: the newest values of entities, with the event time and the status of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from synapsenet.clock import micros
from synapsenet.errors import InvalidArgument
from synapsenet.features.catalogue import Catalogue
from synapsenet.features.columns import Columns
from synapsenet.features.keys import encode_keys
from synapsenet.features.options import FeaturesOptions
from synapsenet.features.ports import OnlineStore
from synapsenet.features.references import Selection, resolve
from synapsenet.features.rows import DELETED

T = TypeVar("T")

_MICROSECOND = timedelta(microseconds=1)


class ValueStatus(IntEnum):
    """What is known of one value; the numbers are the contract's."""

    PRESENT = 1
    NULL_VALUE = 2
    NOT_FOUND = 3
    OUTSIDE_MAX_AGE = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupAnswer:
    """The values of one group; rows are the entities asked for.

    Attributes:
        values: a column for each feature asked for; null where there is no value.
        event_times: int64 µs since 1970, shape (rows,); 0 where the entity was not found.
        statuses: uint8 `ValueStatus`, shape (features, rows).
    """

    group: str
    schema_version: int
    values: Columns
    event_times: NDArray[np.int64]
    statuses: NDArray[np.uint8]


class Serving:
    """Reads the online store."""

    def __init__(self, *, store: OnlineStore, catalogue: Catalogue, options: FeaturesOptions) -> None:
        self._store = store
        self._catalogue = catalogue
        self._options = options

    async def read(self, references: Sequence[str], entities: Columns, *, now: datetime) -> list[GroupAnswer]:
        """The newest values, from one snapshot, by group in the order in which the references first name them.

        Raises:
            InvalidArgument: as `references.resolve` and `keys.encode_keys`; COUNT_INVALID, TOO_MANY_ENTITIES, TOO_MANY_VALUES.
            NotFound: GROUP_UNKNOWN or FEATURE_UNKNOWN.
        """
        selections = resolve(references, lambda name: self._catalogue.get(name, field="features"))
        self._check_size(entities.rows, sum(len(selection.features) for selection in selections))
        found = await self._store.read(await self._computed(entities.rows, lambda: _wanted(selections, entities)))

        def answers() -> list[GroupAnswer]:
            return [_answer(selection, rows, micros(now)) for selection, rows in zip(selections, found, strict=True)]

        return await self._computed(entities.rows, answers)

    async def _computed(self, rows: int, compute: Callable[[], T]) -> T:
        """What `compute` gives, off the event loop if there are many rows."""
        return compute() if rows <= self._options.inline_rows else await asyncio.to_thread(compute)

    def _check_size(self, entities: int, features: int) -> None:
        most = self._options.entities_per_read
        if not 1 <= entities <= most:
            raise InvalidArgument(
                "ENTITIES_COUNT", f"{entities} entities are asked for", field="entities", remedy=f"ask for 1 to {most}"
            )
        if entities * features > self._options.values_per_read:
            raise InvalidArgument(
                "TOO_MANY_VALUES",
                f"{entities * features} values are asked for",
                field="features",
                remedy=f"ask for up to {self._options.values_per_read} at a time",
            )


def _wanted(selections: Sequence[Selection], entities: Columns) -> list[tuple[str, list[bytes]]]:
    groups = [selection.entry.group for selection in selections]
    return [(group.id, encode_keys(group.entity_keys, entities, field="entities")) for group in groups]


def _answer(selection: Selection, rows: Sequence[bytes | None], now: int) -> GroupAnswer:
    group = selection.entry.group
    header, values = selection.entry.layout.unpack(rows, selection.names)
    found = np.fromiter((row is not None for row in rows), dtype=bool, count=len(rows)) & (header["flags"] & DELETED == 0)
    event_times = np.where(found, header["event_time"], 0)
    present = np.full(len(rows), ValueStatus.PRESENT, dtype=np.uint8)
    if group.max_age is not None:
        present[now - event_times > group.max_age // _MICROSECOND] = ValueStatus.OUTSIDE_MAX_AGE
    statuses = np.empty((len(values.columns), len(rows)), dtype=np.uint8)
    statuses[:] = present
    for row, column in zip(statuses, values.columns, strict=True):
        if column.nulls is not None:
            row[column.nulls] = ValueStatus.NULL_VALUE
    statuses[:, ~found] = ValueStatus.NOT_FOUND
    return GroupAnswer(
        group=group.name,
        schema_version=group.schema_version,
        values=values,
        event_times=event_times,
        statuses=statuses,
    )
