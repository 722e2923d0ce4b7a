"""The feature store's use cases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from synapsenet.clock import Clock
from synapsenet.errors import InvalidArgument, NotFound
from synapsenet.features.ages import Ages, ages
from synapsenet.features.catalogue import Catalogue, Entry, group_unknown
from synapsenet.features.columns import Columns
from synapsenet.features.events import FeatureGroupCreated, FeatureGroupDeleted, FeatureGroupUpdated, TrainingSetBuilt
from synapsenet.features.ingest import FeatureWrite, WriteSummary, deletion_batch, row_batch
from synapsenet.features.keys import parse_entity
from synapsenet.features.mirror import Mirror
from synapsenet.features.model import ColumnType, FeatureGroup, TrainingSet
from synapsenet.features.options import FeaturesOptions
from synapsenet.features.ports import FeaturesWork, History, OnlineStore
from synapsenet.features.references import resolve
from synapsenet.features.serving import GroupAnswer, Serving
from synapsenet.features.training_sets import Builder, TrainingSetWish
from synapsenet.ids import IdSource
from synapsenet.platform.artifacts import ArtifactStore
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.records import decode
from synapsenet.platform.to_come import to_come
from synapsenet.platform.work import Request, WorkFactory

T = TypeVar("T")

CHANGEABLE = frozenset({"description", "sla", "max_age", "labels"})
LATER = frozenset({"features", "consistency"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resources:
    """What the feature store stands on."""

    work: WorkFactory[FeaturesWork]
    store: OnlineStore
    history: History
    artifacts: ArtifactStore
    clock: Clock
    group_ids: IdSource
    training_set_ids: IdSource
    options: FeaturesOptions


class Features:
    """Groups, writes, reads and training sets. `start` before anything else, `stop` after; `mirror.run` in the background."""

    def __init__(self, resources: Resources) -> None:
        self._work = resources.work
        self._store = resources.store
        self._artifacts = resources.artifacts
        self._clock = resources.clock
        self._group_ids = resources.group_ids
        self._training_set_ids = resources.training_set_ids
        self._options = resources.options
        self._catalogue = Catalogue()
        self._changing: set[asyncio.Task[Any]] = set()
        self._serving = Serving(store=self._store, catalogue=self._catalogue, options=self._options)
        self.mirror = Mirror(
            store=self._store,
            history=resources.history,
            catalogue=self._catalogue,
            clock=self._clock,
            interval=self._options.mirror_interval_s,
            rows=self._options.mirror_rows,
        )
        self._builder = Builder(
            mirror=self.mirror,
            history=resources.history,
            artifacts=self._artifacts,
            catalogue=self._catalogue,
            options=self._options,
        )

    async def start(self) -> None:
        """Learn the groups, and end deletions that a crash interrupted."""
        for group in await self._work.read(lambda tx: tx.groups.all()):
            self._catalogue.put(group)
        for group_id in await self._work.read(lambda tx: tx.groups.deleted()):
            await self._purge(group_id)

    async def stop(self) -> None:
        """Return when what was begun to change groups has ended."""
        await asyncio.gather(*self._changing, return_exceptions=True)

    async def create_group(self, wish: Callable[[str, datetime], FeatureGroup], request: Request) -> FeatureGroup:
        """Create the group that `wish` makes of an id and the time.

        Raises:
            InvalidArgument: the group is not valid.
            NotYetAvailable: a consistency policy.
            AlreadyExists: GROUP_NAME_TAKEN or REQUEST_ID_REUSED.
        """
        group = wish(self._group_ids.next(), self._clock.now())
        if group.consistency is not None:
            raise to_come("group.consistency")

        def make(tx: FeaturesWork) -> FeatureGroup:
            tx.groups.add(group)
            tx.events.append(f"feature-group/{group.id}", FeatureGroupCreated(group=group))
            return group

        async def create() -> FeatureGroup:
            created = await self._work.run(lambda tx: tx.once(request, FeatureGroup, lambda: make(tx)))
            if created.id == group.id:
                self._catalogue.put(created)
            return created

        return await self._to_its_end(create())

    def get_group(self, name: str, *, field: str = "group") -> FeatureGroup:
        """The group of that name. Raises: NotFound: GROUP_UNKNOWN, naming `field`."""
        return self._catalogue.get(name, field=field).group

    def entity_keys(self, references: Sequence[str]) -> list[ColumnType]:
        """The entity keys that a caller must give for `references`: those of all their groups, each once.

        Raises:
            InvalidArgument, NotFound: as `references.resolve`.
        """
        selections = resolve(references, lambda name: self._catalogue.get(name, field="features"))
        return list({key.name: key.column for each in selections for key in each.entry.group.entity_keys}.values())

    async def list_groups(self, page: PageRequest) -> Page[FeatureGroup]:
        """The groups, by name."""
        return await self._work.read(lambda tx: tx.groups.page(page))

    async def update_group(self, name: str, changes: dict[str, Any], request: Request) -> FeatureGroup:
        """Set the fields in `changes`; effective at once.

        Raises:
            InvalidArgument: UPDATE_EMPTY or UPDATE_UNKNOWN, or the changed group is not valid.
            NotYetAvailable: a change of features or of the consistency policy.
            NotFound: GROUP_UNKNOWN.
        """
        if not changes:
            raise InvalidArgument("UPDATE_EMPTY", field="update_mask", remedy=f"name at least one of {_listed(CHANGEABLE)}")
        for field in changes:
            if field in LATER:
                raise to_come(f"update_mask={field}")
            if field not in CHANGEABLE:
                remedy = f"name any of {_listed(CHANGEABLE)}"
                raise InvalidArgument("UPDATE_UNKNOWN", f"{field} cannot be changed", field="update_mask", remedy=remedy)

        def make(tx: FeaturesWork) -> FeatureGroup:
            if (before := tx.groups.find(name)) is None:
                raise group_unknown(name, field="group.name")
            after = replace(before, **changes, revision=before.revision + 1, updated_at=self._clock.now())
            tx.groups.replace(after)
            tx.events.append(f"feature-group/{after.id}", FeatureGroupUpdated(group=after))
            return after

        async def update() -> FeatureGroup:
            updated = await self._work.run(lambda tx: tx.once(request, FeatureGroup, lambda: make(tx)))
            if self._catalogue.by_id(updated.id) is not None:
                self._catalogue.put(updated)
            return updated

        return await self._to_its_end(update())

    async def delete_group(self, name: str) -> None:
        """Delete a group with its values and its history; training sets stay.

        Raises:
            NotFound: GROUP_UNKNOWN.
        """

        def commit(tx: FeaturesWork) -> FeatureGroup:
            if (group := tx.groups.find(name)) is None:
                raise group_unknown(name, field="group")
            tx.groups.delete(group.id)
            tx.events.append(f"feature-group/{group.id}", FeatureGroupDeleted(id=group.id, name=group.name))
            return group

        async def delete() -> None:
            group = await self._work.run(commit)
            self._catalogue.remove(group)
            await self._purge(group.id)

        await self._to_its_end(delete())

    async def _to_its_end(self, change: Coroutine[Any, Any, T]) -> T:
        """Carry `change` out, also if the caller gives up: what was committed must be known here too."""
        task = asyncio.create_task(change)
        self._changing.add(task)

        def ended(task: asyncio.Task[T]) -> None:
            self._changing.discard(task)
            if not task.cancelled():
                task.exception()  # heard here, in case the caller has left

        task.add_done_callback(ended)
        return await asyncio.shield(task)

    async def _purge(self, group_id: str) -> None:
        await self._store.drop(group_id)
        await self.mirror.drop(group_id)
        await self._work.run(lambda tx: tx.groups.purged(group_id))

    async def write(self, wish: FeatureWrite, summary: WriteSummary | None = None) -> WriteSummary:
        """Write rows; on disk on return. The outcome is added to `summary`.

        Raises:
            NotFound: GROUP_UNKNOWN.
            InvalidArgument: as `ingest.row_batch`.
            ResourceExhausted: STORAGE_FULL.
        """
        entry = self._catalogue.get(wish.group, field="batch.group")
        pack = partial(row_batch, entry, wish, now=self._clock.now(), options=self._options)
        batch = pack() if wish.columns.rows <= self._options.inline_rows else await asyncio.to_thread(pack)
        return (summary or WriteSummary()).plus(await self._store.write(batch))

    async def write_all(self, wishes: AsyncIterator[FeatureWrite]) -> AsyncIterator[tuple[int, WriteSummary]]:
        """Write batches one after another: after each, how many are on disk, and what became of all their rows.

        Raises:
            NotFound, InvalidArgument, ResourceExhausted: as `write`; the batches before stay written.
        """
        summary, count = WriteSummary(), 0
        async for wish in wishes:
            summary = await self.write(wish, summary)
            count += 1
            yield count, summary

    async def delete_entities(self, group: str, entities: Columns, at: datetime | None) -> WriteSummary:
        """Delete entities as of `at`, by default now; older events that come later do not bring them back.

        Raises:
            NotFound: GROUP_UNKNOWN.
            InvalidArgument: as `ingest.deletion_batch`.
        """
        entry = self._catalogue.get(group)
        batch = deletion_batch(entry, entities, at, now=self._clock.now(), options=self._options)
        return WriteSummary().plus(await self._store.write(batch))

    async def read(self, references: Sequence[str], entities: Columns) -> tuple[datetime, list[GroupAnswer]]:
        """The newest values, and the instant to which their ages were taken. Raises: as `Serving.read`."""
        now = self._clock.now()
        return now, await self._serving.read(references, entities, now=now)

    async def build_training_set(self, wish: TrainingSetWish, request: Request) -> TrainingSet:
        """Build a training set; every write acknowledged before is considered.

        Raises:
            AlreadyExists: REQUEST_ID_REUSED; otherwise as `Builder.build`.
        """
        if (earlier := await self._work.read(lambda tx: _remembered(tx, request))) is not None:
            return earlier
        built = await self._builder.build(wish, id=self._training_set_ids.next(), now=self._clock.now())

        def make(tx: FeaturesWork) -> TrainingSet:
            tx.training_sets.add(built)
            tx.events.append(f"training-set/{built.id}", TrainingSetBuilt(training_set=built))
            return built

        return await self._work.run(lambda tx: tx.once(request, TrainingSet, lambda: make(tx)))

    async def get_training_set(self, training_set_id: str) -> TrainingSet:
        """Raises: NotFound: TRAINING_SET_UNKNOWN."""
        found = await self._work.read(lambda tx: tx.training_sets.find(training_set_id))
        if found is None:
            raise NotFound(
                "TRAINING_SET_UNKNOWN",
                f"there is no training set {training_set_id}",
                field="training_set_id",
                remedy="see ListTrainingSets",
                metadata={"training_set_id": training_set_id},
            )
        return found

    async def list_training_sets(self, page: PageRequest) -> Page[TrainingSet]:
        """The training sets, newest first."""
        return await self._work.read(lambda tx: tx.training_sets.page(page))

    def training_set_bytes(self, training_set: TrainingSet) -> AsyncIterator[bytes]:
        """The Arrow IPC stream, in pieces. Raises: DataLoss: the stored bytes are not those that were built."""
        return self._artifacts.read(training_set.sha256)

    def ages(self, names: Sequence[str], entities: Sequence[str], *, groups_only: bool) -> AsyncIterator[Ages]:
        """The ages of groups and their entities, as `ages.Ages`; all groups if none is named.

        Raises:
            NotFound: GROUP_UNKNOWN.
            InvalidArgument: ENTITY_INVALID, or ENTITIES_WITHOUT_GROUP.
        """
        if entities and len(names) != 1:
            raise InvalidArgument("ENTITIES_WITHOUT_GROUP", field="entities", remedy="name exactly one group with them")
        entries = [self._catalogue.get(name, field="groups") for name in names] or self._catalogue.all()
        keys = [parse_entity(entries[0].group.entity_keys, text, field="entities") for text in entities]
        return self._each_ages(entries, keys, groups_only)

    async def _each_ages(self, entries: Sequence[Entry], keys: Sequence[bytes], groups_only: bool) -> AsyncIterator[Ages]:
        for entry in entries:
            async for piece in ages(self._store, entry.group, keys, clock=self._clock, groups_only=groups_only):
                yield piece


def _remembered(tx: FeaturesWork, request: Request) -> TrainingSet | None:
    answer = tx.earlier(request)
    return None if answer is None else decode(TrainingSet, answer)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
