"""What the feature store needs from outside: its records, the online store with its change log, and the history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from synapsenet.features.columns import Columns
from synapsenet.features.model import EntityKey, Feature, FeatureGroup, Knowledge, TrainingSet
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.work import UnitOfWork


class Groups(ABC):
    """The feature groups, inside one unit of work. A deleted group's name is free; its id stays until it is purged."""

    @abstractmethod
    def add(self, group: FeatureGroup) -> None:
        """Raises: AlreadyExists: GROUP_NAME_TAKEN."""

    @abstractmethod
    def replace(self, group: FeatureGroup) -> None:
        """Store `group` over the one with its id."""

    @abstractmethod
    def find(self, name: str) -> FeatureGroup | None: ...

    @abstractmethod
    def all(self) -> Sequence[FeatureGroup]:
        """Every group, by name."""

    @abstractmethod
    def page(self, wanted: PageRequest) -> Page[FeatureGroup]:
        """Groups by name."""

    @abstractmethod
    def delete(self, group_id: str) -> None:
        """Take the group out of all answers, and keep its id in `deleted`."""

    @abstractmethod
    def deleted(self) -> Sequence[str]:
        """Ids of deleted groups whose values may still lie in the stores."""

    @abstractmethod
    def purged(self, group_id: str) -> None:
        """Forget a deleted group."""


class TrainingSets(ABC):
    """The training sets, inside one unit of work. They never change."""

    @abstractmethod
    def add(self, training_set: TrainingSet) -> None: ...

    @abstractmethod
    def find(self, training_set_id: str) -> TrainingSet | None: ...

    @abstractmethod
    def page(self, wanted: PageRequest) -> Page[TrainingSet]:
        """Training sets, newest first."""


class FeaturesWork(UnitOfWork):
    """One transaction over groups and training sets."""

    groups: Groups
    training_sets: TrainingSets


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBatch:
    """Rows to write, of one group.

    Attributes:
        keys: `synapsenet.features.keys`, one a row; a key may come more than once.
        rows: `synapsenet.features.rows`.
    """

    group_id: str
    keys: Sequence[bytes]
    rows: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteCounts:
    """What became of a batch's rows, and the change log's position that has them all."""

    applied: int
    late: int
    duplicates: int
    position: int


@dataclass(frozen=True, slots=True)
class Change:
    """One row that was applied or came late, at its position in the change log."""

    position: int
    group_id: str
    key: bytes
    row: bytes


class OnlineStore(ABC):
    """The newest row of each entity, and the log of all rows that were no duplicates.

    A write compares each row with the one that stands by `rows.compare`, in the order of the batch: the newer stays; a late or
    repeated one only moves the ingest time on. Applied and late rows are appended to the change log in the same transaction as
    the values, under positions that grow by one from 1. A batch is written whole or not at all, and is on disk when `write`
    returns.

    Consumers read the log and keep their place in it by `mark`; what all have passed is trimmed.
    """

    @abstractmethod
    async def write(self, batch: RowBatch) -> WriteCounts:
        """Raises: ResourceExhausted: STORAGE_FULL, nothing of the batch is kept and nothing that stood is lost."""

    @abstractmethod
    async def read(self, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[list[bytes | None]]:
        """The rows of keys, by group id, from one snapshot; None where nothing was written."""

    @abstractmethod
    def scan(self, group_id: str) -> AsyncIterator[Sequence[tuple[bytes, bytes]]]:
        """All keys and rows of a group in the order of the keys, in pieces that are a snapshot each."""

    @abstractmethod
    async def drop(self, group_id: str) -> None:
        """Delete all rows of a group; the change log keeps its own."""

    @abstractmethod
    async def changes(self, *, after: int, limit: int) -> Sequence[Change]:
        """Up to `limit` changes with positions above `after`, in order.

        Raises:
            OutOfRange: CHANGES_TRIMMED; metadata `oldest` names the first position that is kept.
        """

    @abstractmethod
    async def newest(self) -> int:
        """The highest position on disk; 0 for an empty log."""

    @abstractmethod
    async def wait_beyond(self, position: int) -> None:
        """Return when the log has a position above `position`."""

    @abstractmethod
    async def checkpoint(self, consumer: str) -> int:
        """Where `consumer` left off; 0 for a new one, whose place is kept from now on."""

    @abstractmethod
    async def mark(self, consumer: str, position: int) -> None:
        """Keep `consumer`'s place, and trim what every consumer has passed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HistoryBatch:
    """Changes of one group as columns, in the order of the log; every array has shape (rows,).

    Attributes:
        keys: the entity keys.
        values: the group's features.
        event_times, ingest_times: int64 µs since 1970.
        sequences: uint64.
        ranks: int64, `rows.rank`.
        deleted: bool.
        positions: int64, growing.
    """

    group_id: str
    keys: Columns
    values: Columns
    event_times: NDArray[np.int64]
    ingest_times: NDArray[np.int64]
    sequences: NDArray[np.uint64]
    ranks: NDArray[np.int64]
    deleted: NDArray[np.bool_]
    positions: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class JoinedGroup:
    """Features of one group, for a join."""

    group_id: str
    name: str
    entity_keys: tuple[EntityKey, ...]
    features: tuple[Feature, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JoinQuery:
    """A point-in-time join.

    For each row of the spine and each group, the row of the history with the spine's entity keys that is the greatest by
    (event time, sequence, rank) among those with event time ≤ instant, ingest time ≤ `known_by`, and, with
    Knowledge.AT_INSTANT, ingest time ≤ instant; nulls if there is none, if it deletes the entity, or if its event time is
    below instant − `max_age`.

    Attributes:
        spine: entity keys of every group, and further columns, which are carried along.
        instants: int64 µs since 1970, shape (rows,).
        known_by: µs since 1970; None for no limit.
    """

    spine: Columns
    instants: NDArray[np.int64]
    groups: tuple[JoinedGroup, ...]
    max_age: timedelta | None
    knowledge: Knowledge
    known_by: int | None


class Joined(ABC):
    """A join's outcome while it is kept: rows in the spine's order.

    Attributes:
        missing: for each feature of each group, rows without a value.
    """

    missing: tuple[int, ...]

    @abstractmethod
    def chunks(self) -> AsyncIterator[bytes]:
        """One Arrow IPC stream: the spine's columns, `instant`, then `group:feature` columns, vectors as fixed_size_list."""


class History(ABC):
    """All rows ever written, by group, for joins."""

    @abstractmethod
    async def append(self, batch: HistoryBatch) -> None:
        """Durable, and seen by joins, on return. Raises: ResourceExhausted: STORAGE_FULL."""

    @abstractmethod
    async def discard_after(self, position: int) -> None:
        """Forget batches that begin above `position`: leftovers of a writer that died before it marked its place."""

    @abstractmethod
    async def drop(self, group_id: str) -> None:
        """Delete a group's history; silent if there is none."""

    @abstractmethod
    def join(self, query: JoinQuery) -> AbstractAsyncContextManager[Joined]:
        """Carry `query` out over what was appended so far.

        Raises:
            ResourceExhausted: JOIN_TOO_LARGE, for its memory; STORAGE_FULL.
            DataLoss: HISTORY_UNREADABLE.
        """
