"""What makes groups, SLAs, references and writes valid, and what a refusal names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from synapsenet.clock import instant, micros
from synapsenet.errors import InvalidArgument, NotFound, SynapseError
from synapsenet.features.catalogue import Catalogue, Entry
from synapsenet.features.columns import Columns, column_of
from synapsenet.features.ingest import FeatureWrite, deletion_batch, row_batch
from synapsenet.features.model import ColumnType, EntityKey, Feature, ValueType
from synapsenet.features.options import FeaturesOptions
from synapsenet.features.references import resolve
from synapsenet.features.rows import headers
from synapsenet.features.sla import FreshnessSla, SlaScope
from synapsenet.features.training_sets import TrainingSetWish
from synapsenet.testing.clock import NOON
from synapsenet.testing.features import sample_group

OPTIONS = FeaturesOptions(rows_per_batch=3, future_skew_s=60)
USER = ColumnType(name="user_id", type=ValueType.INT64)
SCORE = ColumnType(name="score", type=ValueType.DOUBLE)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("made", "reason", "field"),
    [
        (lambda: sample_group(name="Users"), "NAME_INVALID", "group.name"),
        (lambda: sample_group(name="u" * 64), "NAME_INVALID", "group.name"),
        (lambda: sample_group(features=()), "COUNT_INVALID", "group.features"),
        (lambda: sample_group(entity_keys=()), "COUNT_INVALID", "group.entity_keys"),
        (lambda: sample_group(max_age=timedelta(0)), "MAX_AGE_NOT_POSITIVE", "group.max_age"),
        (lambda: sample_group(labels={"": "x"}), "LABELS_TOO_LARGE", "group.labels"),
        (lambda: sample_group(features=(Feature(name="user_id", type=ValueType.BOOL),)), "NAME_TAKEN", "group.features.name"),
        (lambda: sample_group(features=(Feature(name="instant", type=ValueType.BOOL),)), "NAME_TAKEN", "group.features.name"),
        (lambda: EntityKey(name="weight", type=ValueType.DOUBLE), "ENTITY_KEY_TYPE", "group.entity_keys.type"),
        (lambda: Feature(name="v", type=ValueType.STRING, vector_length=2), "VECTOR_LENGTH", "group.features.vector_length"),
        (
            lambda: Feature(name="v", type=ValueType.FLOAT, vector_length=65_537),
            "VECTOR_LENGTH",
            "group.features.vector_length",
        ),
        (lambda: FreshnessSla(error_after=-SECOND), "SLA_INVALID", "group.sla.error_after"),
        (lambda: FreshnessSla(error_after=SECOND, warn_after=SECOND), "SLA_INVALID", "group.sla.warn_after"),
        (lambda: FreshnessSla(error_after=SECOND, max_stale_fraction=1.0), "SLA_INVALID", "group.sla.max_stale_fraction"),
        (
            lambda: FreshnessSla(error_after=SECOND, scope=SlaScope.GROUP, max_stale_fraction=0.5),
            "SLA_INVALID",
            "group.sla.max_stale_fraction",
        ),
        (lambda: FreshnessSla(error_after=SECOND, pending_for=-SECOND), "SLA_INVALID", "group.sla.pending_for"),
        (lambda: FreshnessSla(error_after=SECOND, repeat_interval=0 * SECOND), "SLA_INVALID", "group.sla.repeat_interval"),
    ],
)
def test_what_is_not_valid_is_refused_naming_the_field(made: Callable[[], object], reason: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        made()
    assert (refusal.value.reason, refusal.value.field) == (reason, field)
    assert refusal.value.remedy


def catalogue() -> Catalogue:
    known = Catalogue()
    known.put(sample_group())
    known.put(sample_group("fg-2", "visitors"))
    return known


def test_references_are_resolved_by_group_in_the_order_in_which_they_first_name_it() -> None:
    found = resolve(["visitors:city", "users:score", "visitors:score", "users:city"], catalogue().get)
    assert [(each.entry.group.name, each.names) for each in found] == [
        ("visitors", ["city", "score"]),
        ("users", ["score", "city"]),
    ]


def test_a_star_names_all_features_of_its_group() -> None:
    [found] = resolve(["users:*"], catalogue().get)
    assert found.names == ["score", "embedding", "city"]


@pytest.mark.parametrize(
    ("references", "kind", "reason"),
    [
        ([], InvalidArgument, "COUNT_INVALID"),
        (["users"], InvalidArgument, "REFERENCE_INVALID"),
        (["users:"], InvalidArgument, "REFERENCE_INVALID"),
        (["users:score", "users:*"], InvalidArgument, "REFERENCE_TWICE"),
        (["nobody:score"], NotFound, "GROUP_UNKNOWN"),
        (["users:nothing"], NotFound, "FEATURE_UNKNOWN"),
    ],
)
def test_references_that_name_nothing_are_refused(references: list[str], kind: type[SynapseError], reason: str) -> None:
    with pytest.raises(kind) as refusal:
        resolve(references, catalogue().get)
    assert refusal.value.reason == reason


def test_the_catalogue_keeps_the_newer_revision_of_a_group() -> None:
    known = catalogue()
    known.put(sample_group(description="new", revision=2))
    known.put(sample_group(description="old", revision=1))
    assert known.get("users").group.description == "new"
    known.remove(sample_group())
    known.put(sample_group("fg-3"))
    known.remove(sample_group("fg-1"))
    assert known.get("users").group.id == "fg-3"


def wish(rows: int = 2, *, times: Any = (), sequences: Any = (), more: Any = ()) -> FeatureWrite:
    columns = (column_of(USER, list(range(rows))), column_of(SCORE, [0.5] * rows), *more)
    return FeatureWrite(
        group="users",
        columns=Columns(rows, columns),
        event_times=np.array(times, dtype=np.int64),
        sequences=np.array(sequences, dtype=np.uint64),
    )


@pytest.mark.parametrize(
    ("write", "reason", "field"),
    [
        (wish(4), "BATCH_TOO_LARGE", "batch.columns.rows"),
        (wish(3, times=[1, 2]), "EVENT_TIMES_COUNT", "batch.event_times_us"),
        (wish(2, sequences=[1]), "SEQUENCES_COUNT", "batch.sequences"),
        (wish(2, times=[0, micros(NOON) + 60_000_001]), "EVENT_TIME_IN_FUTURE", "batch.event_times_us"),
        (wish(2, times=[0, -(2**63)]), "INSTANT_OUT_OF_RANGE", "batch.event_times_us"),
        (wish(1, times=[2**63 - 1]), "INSTANT_OUT_OF_RANGE", "batch.event_times_us"),
        (wish(1, more=[column_of(ColumnType(name="ghost", type=ValueType.BOOL), [True])]), "COLUMN_UNKNOWN", "batch.columns"),
        (wish(1, more=[column_of(ColumnType(name="city", type=ValueType.BYTES), [b""])]), "COLUMN_TYPE", "batch.columns"),
    ],
)
def test_a_write_that_does_not_fit_is_refused_naming_the_field(write: FeatureWrite, reason: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        row_batch(Entry(sample_group()), write, now=NOON, options=OPTIONS)
    assert (refusal.value.reason, refusal.value.field) == (reason, field)


def test_a_write_without_event_times_happened_when_it_arrived() -> None:
    rows = row_batch(Entry(sample_group()), wish(2), now=NOON, options=OPTIONS).rows
    assert headers(rows)["event_time"].tolist() == headers(rows)["ingest_time"].tolist() == [micros(NOON)] * 2


def test_an_event_time_may_lie_ahead_as_far_as_the_sla_tolerates() -> None:
    entry = Entry(sample_group(sla=FreshnessSla(error_after=SECOND, max_future_skew=SECOND)))
    row_batch(entry, wish(1, times=[micros(NOON + SECOND)]), now=NOON, options=OPTIONS)
    with pytest.raises(InvalidArgument, match="1 s ahead"):
        row_batch(entry, wish(1, times=[micros(NOON + SECOND) + 1]), now=NOON, options=OPTIONS)


def test_a_deletion_from_the_future_is_refused_like_a_write() -> None:
    entities = Columns(1, (column_of(USER, [1]),))
    with pytest.raises(InvalidArgument) as refusal:
        deletion_batch(Entry(sample_group()), entities, NOON + timedelta(hours=1), now=NOON, options=OPTIONS)
    assert refusal.value.reason == "EVENT_TIME_IN_FUTURE"


def test_a_deletion_is_bounded_like_a_write() -> None:
    entities = Columns(4, (column_of(USER, [1, 2, 3, 4]),))
    with pytest.raises(InvalidArgument) as refusal:
        deletion_batch(Entry(sample_group()), entities, None, now=NOON, options=OPTIONS)
    assert (refusal.value.reason, refusal.value.field) == ("BATCH_TOO_LARGE", "entities")


def test_a_spine_has_instants_of_the_calendar_only() -> None:
    spine = Columns(1, (column_of(USER, [1]),))
    with pytest.raises(InvalidArgument) as refusal:
        TrainingSetWish(name="t", spine=spine, instants=np.array([2**63 - 1]), features=("users:score",))
    assert (refusal.value.reason, refusal.value.field) == ("INSTANT_OUT_OF_RANGE", "spine.instants_us")


def test_instants_are_exact_to_the_microsecond_far_from_now() -> None:
    for value in (-62_135_596_800_000_000, -1, 0, 1_767_268_800_123_457, 253_402_300_799_999_999):
        assert micros(instant(value)) == value
