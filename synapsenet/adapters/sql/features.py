"""Feature groups and training sets in SQL: what is searched for has a column, the record itself is one."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Column, Connection, Index, LargeBinary, MetaData, String, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from synapsenet.adapters.sql.keyset import Key, page_of
from synapsenet.adapters.sql.tables import UtcDateTime, add_platform_tables
from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork
from synapsenet.errors import AlreadyExists
from synapsenet.features.model import FeatureGroup, TrainingSet
from synapsenet.features.ports import FeaturesWork, Groups, TrainingSets
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.records import decode, encode

metadata = MetaData()
add_platform_tables(metadata)

groups = Table(
    "groups",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("record", LargeBinary, nullable=False),
)

deleted_groups = Table("deleted_groups", metadata, Column("id", String, primary_key=True))

training_sets = Table(
    "training_sets",
    metadata,
    Column("id", String, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("ix_training_sets_created_at", "created_at", "id"),
)


_NEWEST_FIRST = (Key(training_sets.c.created_at, descending=True), Key(training_sets.c.id, descending=True))


class SqlGroups(Groups):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, group: FeatureGroup) -> None:
        try:
            self._connection.execute(insert(groups), {"id": group.id, "name": group.name, "record": encode(group)})
        except IntegrityError as error:
            raise AlreadyExists(
                "GROUP_NAME_TAKEN",
                f"there is a feature group {group.name} already",
                field="group.name",
                remedy="take another name, or delete that group first",
                metadata={"group": group.name},
            ) from error

    def replace(self, group: FeatureGroup) -> None:
        self._connection.execute(update(groups).where(groups.c.id == group.id).values(record=encode(group)))

    def find(self, name: str) -> FeatureGroup | None:
        record = self._connection.execute(select(groups.c.record).where(groups.c.name == name)).scalar()
        return None if record is None else decode(FeatureGroup, record)

    def all(self) -> Sequence[FeatureGroup]:
        records = self._connection.execute(select(groups.c.record).order_by(groups.c.name)).scalars()
        return [decode(FeatureGroup, record) for record in records]

    def page(self, wanted: PageRequest) -> Page[FeatureGroup]:
        found = page_of(self._connection, select(groups.c.record), (Key(groups.c.name),), wanted)
        return Page(tuple(decode(FeatureGroup, row.record) for row in found.items), found.next_token)

    def delete(self, group_id: str) -> None:
        self._connection.execute(delete(groups).where(groups.c.id == group_id))
        self._connection.execute(insert(deleted_groups), {"id": group_id})

    def deleted(self) -> Sequence[str]:
        return list(self._connection.execute(select(deleted_groups.c.id).order_by(deleted_groups.c.id)).scalars())

    def purged(self, group_id: str) -> None:
        self._connection.execute(delete(deleted_groups).where(deleted_groups.c.id == group_id))


class SqlTrainingSets(TrainingSets):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, training_set: TrainingSet) -> None:
        row = {"id": training_set.id, "created_at": training_set.created_at, "record": encode(training_set)}
        self._connection.execute(insert(training_sets), row)

    def find(self, training_set_id: str) -> TrainingSet | None:
        query = select(training_sets.c.record).where(training_sets.c.id == training_set_id)
        record = self._connection.execute(query).scalar()
        return None if record is None else decode(TrainingSet, record)

    def page(self, wanted: PageRequest) -> Page[TrainingSet]:
        found = page_of(self._connection, select(training_sets.c.record), _NEWEST_FIRST, wanted)
        return Page(tuple(decode(TrainingSet, row.record) for row in found.items), found.next_token)


class SqlFeaturesWork(SqlUnitOfWork, FeaturesWork):
    """One transaction over the features database."""

    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        self.groups = SqlGroups(connection)
        self.training_sets = SqlTrainingSets(connection)
