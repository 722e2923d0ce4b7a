"""Ages: when each entity's newest event happened and when its last value arrived, as monitoring reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from synapsenet.clock import Clock
from synapsenet.features.keys import entity_texts
from synapsenet.features.model import FeatureGroup
from synapsenet.features.ports import OnlineStore
from synapsenet.features.rows import DELETED, headers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ages:
    """Some entities of one group, from one snapshot; arrays have shape (entities,).

    Attributes:
        group: in a group's first piece only.
        entities: `keys.entity_texts`.
        event_times, ingest_times: int64 µs since 1970.
        deleted: bool.
    """

    group: FeatureGroup | None
    as_of: datetime
    entities: Sequence[str]
    event_times: NDArray[np.int64]
    ingest_times: NDArray[np.int64]
    deleted: NDArray[np.bool_]


async def ages(
    store: OnlineStore, group: FeatureGroup, keys: Sequence[bytes], *, clock: Clock, groups_only: bool
) -> AsyncIterator[Ages]:
    """`group` itself, then the ages of `keys`, or of all its entities if there are none; unknown keys are left out."""
    yield _ages(group, group, [], [], clock.now())
    if groups_only:
        return
    if keys:
        [rows] = await store.read([(group.id, keys)])
        found = [(key, row) for key, row in zip(keys, rows, strict=True) if row is not None]
        yield _ages(None, group, [key for key, _ in found], [row for _, row in found], clock.now())
        return
    async for piece in store.scan(group.id):
        yield _ages(None, group, [key for key, _ in piece], [row for _, row in piece], clock.now())


def _ages(shown: FeatureGroup | None, group: FeatureGroup, keys: Sequence[bytes], rows: Sequence[bytes], now: datetime) -> Ages:
    header = headers(rows)
    return Ages(
        group=shown,
        as_of=now,
        entities=entity_texts(group.entity_keys, keys),
        event_times=header["event_time"],
        ingest_times=header["ingest_time"],
        deleted=header["flags"] & DELETED != 0,
    )
