"""Feature groups, writes, online reads and training sets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from synapsenet_api.features.v1 import feature_service_pb2 as pb
from synapsenet_api.features.v1.feature_group_pb2 import EntityKey, Feature, FeatureGroup
from synapsenet_api.features.v1.freshness_sla_pb2 import AgeBasis, ConsistencyPolicy, FreshnessSla, SlaScope
from synapsenet_api.features.v1.training_set_pb2 import Knowledge, Spine, TrainingSet
from synapsenet_client._calls import Ask, Asyncio, Blocking, Conversation, Download, Pages, answering, paging, streaming
from synapsenet_client._columns import OnlineFeatures, columns_message, online_features, parsed_type
from synapsenet_client._enums import enum_value
from synapsenet_client._files import FileSink, MemorySink, Piece, Progress
from synapsenet_client._times import duration, microseconds, timestamp
from synapsenet_client._values import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRows:
    """Rows of one group to write.

    Attributes:
        group: the group, as `features.get` returns it, whose types the columns take; or only its name, and the types are then
            those of the values.
        columns: a column for every entity key; a feature without a column is written as null. Equally long arrays or
            sequences; a vector feature is an array (rows, length).
        event_times: when each row's values came to be, one a row or one for all: datetimes with a time zone, datetime64, or
            microseconds since 1970-01-01T00:00:00Z. None: when the platform receives them.
        sequences: orders rows of one entity with equal event times.
        backfill: they are history that is loaded late and raise no alerts.
    """

    group: FeatureGroup | str
    columns: Mapping[str, Values]
    event_times: Any = None
    sequences: Iterable[int] = ()
    backfill: bool = False


def freshness_sla(
    *,
    error_after: float | timedelta | None = None,
    warn_after: float | timedelta | None = None,
    basis: str = "",
    scope: str = "",
    max_stale_fraction: float = 0.0,
) -> FreshnessSla:
    """How fresh a group's values must be, for the common case; further fields can be set on the message that it returns.

    Args:
        error_after: seconds of age above which the state is STALE.
        warn_after: seconds of age above which it is WARN, below `error_after`.
        basis: EVENT (default) or INGEST: which age counts.
        scope: ENTITY (default) or GROUP: what has the deadline.
        max_stale_fraction: share of stale entities that is tolerated, 0 to below 1.
    """
    return FreshnessSla(
        error_after=duration(error_after),
        warn_after=duration(warn_after),
        basis=enum_value("basis", AgeBasis, basis),
        scope=enum_value("scope", SlaScope, scope),
        max_stale_fraction=max_stale_fraction,
    )


class GroupMethods:
    """Groups are named by their names."""

    @answering
    def create(
        self,
        name: str,
        *,
        entity_keys: Mapping[str, str],
        features: Mapping[str, str],
        description: str = "",
        sla: FreshnessSla | None = None,
        max_age: float | timedelta | None = None,
        consistency: ConsistencyPolicy | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Ask[pb.CreateFeatureGroupResponse, FeatureGroup]:
        """Create a feature group.

        Args:
            name: lower-case letters, digits and underscores.
            entity_keys: type by name, in the order that identifies an entity: `{"image_id": "INT64"}`.
            features: type by name, a vector with its length: `{"pixels": "FLOAT[64]", "label": "INT64"}`.
            description: for people.
            sla: how fresh values must be; None: ages are reported, never judged.
            max_age: seconds above which online reads mark a value as too old; None: no limit.
            consistency: thresholds for comparing online values with the history.
            labels: for selecting alerts and for people.
            request_id: the same for every attempt at this creation; made up if empty.

        Raises:
            AlreadyExists: the name is taken.
        """
        keys = [parsed_type(key, kind) for key, kind in entity_keys.items()]
        group = FeatureGroup(
            name=name,
            description=description,
            entity_keys=[EntityKey(name=key.name, type=key.type) for key in keys],
            features=_features(features),
            sla=sla,
            max_age=duration(max_age),
            consistency=consistency,
            labels=labels or {},
        )
        return Ask(pb.CreateFeatureGroupRequest(group=group, request_id=request_id), lambda answer: answer.group)

    @answering
    def get(self, name: str) -> Ask[pb.GetFeatureGroupResponse, FeatureGroup]:
        """One group."""
        return Ask(pb.GetFeatureGroupRequest(group=name), lambda answer: answer.group)

    @paging
    def list(self, *, page_size: int = 0) -> Pages[pb.ListFeatureGroupsResponse, FeatureGroup]:
        """The groups, by name."""
        return Pages(pb.ListFeatureGroupsRequest(page_size=page_size), lambda page: page.groups)

    @answering
    def update(
        self,
        name: str,
        *,
        description: str | None = None,
        sla: FreshnessSla | None = None,
        max_age: float | timedelta | None = None,
        consistency: ConsistencyPolicy | None = None,
        labels: Mapping[str, str] | None = None,
        features: Mapping[str, str] | None = None,
        clear: Iterable[str] = (),
        request_id: str = "",
    ) -> Ask[pb.UpdateFeatureGroupResponse, FeatureGroup]:
        """Change what is given; None leaves a field as it is.

        Args:
            name: of the group.
            description, sla, max_age, consistency, labels: new values, effective at once.
            features: all of the group's features, new ones after those that it has.
            clear: names of fields to empty: `["sla"]`.
            request_id: the same for every attempt at this change; made up if empty.
        """
        given = {
            "description": description,
            "sla": sla,
            "max_age": max_age,
            "consistency": consistency,
            "labels": labels,
            "features": features,
        }
        group = FeatureGroup(
            name=name,
            description=description or "",
            sla=sla,
            max_age=duration(max_age),
            consistency=consistency,
            labels=labels or {},
            features=_features(features or {}),
        )
        mask = FieldMask(paths=[*(field for field, value in given.items() if value is not None), *clear])
        return Ask(
            pb.UpdateFeatureGroupRequest(group=group, update_mask=mask, request_id=request_id), lambda answer: answer.group
        )

    @answering
    def delete(self, name: str) -> Ask[pb.DeleteFeatureGroupResponse, None]:
        """Delete a group with its online values and its history; training sets stay."""
        return Ask(pb.DeleteFeatureGroupRequest(group=name), lambda answer: None)


class ValueMethods:
    """Writing and reading values."""

    @answering
    def write(
        self,
        group: FeatureGroup | str,
        columns: Mapping[str, Values],
        *,
        event_times: Any = None,
        sequences: Iterable[int] = (),
        backfill: bool = False,
    ) -> Ask[pb.WriteFeaturesResponse, pb.WriteSummary]:
        """Write rows of one group; they are on disk when it returns, all of them or none. Arguments as of FeatureRows.

        Raises:
            InvalidArgument: a column is unknown, or its values are not of the feature's type.
        """
        rows = FeatureRows(group=group, columns=columns, event_times=event_times, sequences=sequences, backfill=backfill)
        return Ask(pb.WriteFeaturesRequest(batch=_batch(rows)), lambda answer: answer.summary)

    @streaming
    def write_stream(
        self, batches: Iterable[FeatureRows] | AsyncIterable[FeatureRows]
    ) -> Conversation[FeatureRows, pb.StreamFeaturesResponse, pb.StreamFeaturesResponse]:
        """Write batches one after another, of one or several groups.

        Iterate over what it returns: each answer acknowledges the first `acknowledged_batches` batches as on disk, and the
        last one all. Batches that were not acknowledged when the stream breaks can be written again: the same rows count once.
        """
        return Conversation(
            request=pb.StreamFeaturesRequest,
            items=batches,
            encode=lambda rows: pb.StreamFeaturesRequest(batch=_batch(rows)),
            shape=lambda answer: answer,
        )

    @answering
    def read(
        self, features: Iterable[str], entities: Mapping[str, Values]
    ) -> Ask[pb.GetOnlineFeaturesResponse, OnlineFeatures]:
        """The newest values of entities.

        Args:
            features: references `group:feature`, or `group:*`, over one or several groups.
            entities: a column for every entity key of every group referenced, one row an entity.
        """
        request = pb.GetOnlineFeaturesRequest(features=features, entities=columns_message(entities))
        return Ask(request, online_features)

    @streaming
    def read_stream(
        self, features: Iterable[str], batches: Iterable[Mapping[str, Values]] | AsyncIterable[Mapping[str, Values]]
    ) -> Conversation[Mapping[str, Values], pb.StreamOnlineFeaturesResponse, OnlineFeatures]:
        """The same for batches of entities, answered in order on one stream."""
        references = list(features)
        return Conversation(
            request=pb.StreamOnlineFeaturesRequest,
            items=batches,
            encode=lambda entities: pb.StreamOnlineFeaturesRequest(features=references, entities=columns_message(entities)),
            shape=lambda answer: online_features(answer.answer),
        )

    @answering
    def delete_entities(
        self, group: str, entities: Mapping[str, Values], *, event_time: datetime | None = None
    ) -> Ask[pb.DeleteEntitiesResponse, pb.WriteSummary]:
        """Delete entities as of `event_time`, by default now; newer events bring them back, older ones do not."""
        request = pb.DeleteEntitiesRequest(
            group=group, entities=columns_message(entities), event_time=timestamp("event_time", event_time)
        )
        return Ask(request, lambda answer: answer.summary)


class TrainingSetMethods:
    """Point-in-time joins over the history."""

    @answering
    def build_training_set(
        self,
        spine: Mapping[str, Values],
        instants: Any,
        features: Iterable[str],
        *,
        name: str = "",
        max_age: float | timedelta | None = None,
        knowledge: str = "",
        known_by: datetime | None = None,
        request_id: str = "",
    ) -> Ask[pb.BuildTrainingSetResponse, TrainingSet]:
        """Join features to rows as they were at each row's instant; returns when the set is built.

        Args:
            spine: a column for every entity key of the groups referenced; further columns are carried along.
            instants: one a row or one for all rows; as `event_times` of FeatureRows.
            features: references `group:feature`, or `group:*`.
            name: for people.
            max_age: seconds; older events are left out.
            knowledge: LATEST, the corrected history (default), or AT_INSTANT, what was known then.
            known_by: values received later are left out.
            request_id: the same for every attempt at this creation; made up if empty.
        """
        rows = Spine(columns=columns_message(spine), instants_us=microseconds("instants", instants))
        return Ask(
            pb.BuildTrainingSetRequest(
                spine=rows,
                features=features,
                name=name,
                max_age=duration(max_age),
                knowledge=enum_value("knowledge", Knowledge, knowledge),
                known_by=timestamp("known_by", known_by),
                request_id=request_id,
            ),
            lambda answer: answer.training_set,
        )

    @answering
    def get_training_set(self, training_set_id: str) -> Ask[pb.GetTrainingSetResponse, TrainingSet]:
        """One training set."""
        return Ask(pb.GetTrainingSetRequest(training_set_id=training_set_id), lambda answer: answer.training_set)

    @paging
    def list_training_sets(self, *, page_size: int = 0) -> Pages[pb.ListTrainingSetsResponse, TrainingSet]:
        """The training sets, the newest first."""
        return Pages(pb.ListTrainingSetsRequest(page_size=page_size), lambda page: page.training_sets)

    @answering
    def read_training_set(self, training_set_id: str) -> Download[pb.ReadTrainingSetResponse, bytes]:
        """A training set as the bytes of one Arrow IPC stream: `pyarrow.ipc.open_stream(data).read_all()`."""
        return Download(pb.ReadTrainingSetRequest(training_set_id=training_set_id), lambda: MemorySink(_piece))

    @answering
    def download_training_set(
        self, training_set_id: str, path: str | os.PathLike[str], *, progress: Progress | None = None
    ) -> Download[pb.ReadTrainingSetResponse, Path]:
        """The same into a file, which appears only when it is whole and checked; returns its path."""
        request = pb.ReadTrainingSetRequest(training_set_id=training_set_id)
        return Download(request, lambda: FileSink(Path(path), _piece, progress))


class Features(Blocking, GroupMethods, ValueMethods, TrainingSetMethods):
    """`client.features`."""


class AsyncFeatures(Asyncio, GroupMethods, ValueMethods, TrainingSetMethods):
    """`client.features` of an asyncio client."""


def _features(types: Mapping[str, str]) -> list[Feature]:
    parsed = (parsed_type(name, kind) for name, kind in types.items())
    return [Feature(name=kind.name, type=kind.type, vector_length=kind.vector_length) for kind in parsed]


def _batch(rows: FeatureRows) -> pb.WriteBatch:
    group = rows.group if isinstance(rows.group, FeatureGroup) else None
    return pb.WriteBatch(
        group=group.name if group is not None else str(rows.group),
        columns=columns_message(rows.columns, group),
        event_times_us=[] if rows.event_times is None else microseconds("event_times", rows.event_times),
        sequences=rows.sequences,
        backfill=rows.backfill,
    )


def _piece(answer: pb.ReadTrainingSetResponse) -> Piece:
    return Piece(answer.sha256, answer.size_bytes, answer.data)
