"""The feature store over real connections: groups, writes, reads, deletions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToJson
from google.protobuf.timestamp_pb2 import Timestamp

from synapsenet_api.features.v1 import feature_service_pb2 as pb
from synapsenet_api.features.v1.feature_group_pb2 import FeatureGroup
from synapsenet_api.features.v1.freshness_sla_pb2 import ConsistencyPolicy, FreshnessSla
from synapsenet_api.features.v1.value_pb2 import Columns, ColumnType, ValueStatus, ValueType
from tests.integration.features.stores import (
    DEADLINE,
    START,
    ServeStores,
    Stores,
    create,
    objects,
    read,
    refused,
    ride,
    rides,
    write,
)

KEYS = [ColumnType(name="driver", type=ValueType.VALUE_TYPE_INT64), ColumnType(name="city", type=ValueType.VALUE_TYPE_STRING)]


def cities(*names: str) -> bytes:
    return np.array([len(name.encode()) for name in names], dtype="<u4").tobytes() + "".join(names).encode()


def packed(drivers: list[int], trips: list[int]) -> Columns:
    """Rides in Oslo with their trips and routes."""
    values = [
        np.array(drivers, dtype="<i8").tobytes(),
        cities(*["oslo"] * len(drivers)),
        np.array(trips, dtype="<i8").tobytes(),
    ]
    route = np.arange(2 * len(drivers), dtype="<f4").tobytes()
    columns = [
        *KEYS,
        ColumnType(name="trips", type=ValueType.VALUE_TYPE_INT64),
        ColumnType(name="route", type=ValueType.VALUE_TYPE_FLOAT, vector_length=2),
    ]
    return Columns(columns=columns, rows=len(drivers), data=b"".join(values) + route)


async def test_a_group_is_created_once_for_a_request_id_and_its_name_is_taken(stores: Stores) -> None:
    made = await create(stores, request_id="r-1")
    assert (await create(stores, request_id="r-1")).id == made.id
    assert (await refused(create(stores, rides(description="other"), request_id="r-1")))[1] == "REQUEST_ID_REUSED"
    code, reason, _ = await refused(create(stores, request_id="r-2"))
    assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "GROUP_NAME_TAKEN")
    listed = await stores.features.ListFeatureGroups(pb.ListFeatureGroupsRequest(), timeout=DEADLINE)
    assert [group.name for group in listed.groups] == ["rides"]
    assert (made.schema_version, [feature.vector_length for feature in made.features]) == (1, [0, 2, 0])


async def test_an_sla_is_changed_live_and_what_comes_later_says_so(stores: Stores) -> None:
    await create(stores)

    async def update(mask: str, **fields: Any) -> Any:
        request = pb.UpdateFeatureGroupRequest(group=FeatureGroup(name="rides", **fields), update_mask=FieldMask(paths=[mask]))
        return await stores.features.UpdateFeatureGroup(request, timeout=DEADLINE)

    sla = FreshnessSla(error_after=Duration(nanos=500_000_000), max_stale_fraction=0.5)
    changed = (await update("sla", sla=sla)).group
    assert (changed.sla.error_after.nanos, changed.sla.max_stale_fraction) == (500_000_000, 0.5)
    assert changed.update_time.ToNanoseconds() > changed.create_time.ToNanoseconds()
    assert not (await update("sla")).group.HasField("sla")
    assert (await refused(update("sla", sla=FreshnessSla())))[1:] == ("SLA_INVALID", "group.sla.error_after")
    assert (await refused(update("name")))[1:] == ("UPDATE_UNKNOWN", "update_mask")
    code, reason, field = await refused(update("features"))
    assert (code, reason, field) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_YET_AVAILABLE", "update_mask")
    assert (await refused(update("consistency", consistency=ConsistencyPolicy())))[1] == "NOT_YET_AVAILABLE"


async def test_rows_for_people_are_written_and_read_back_with_status_and_time_of_each(stores: Stores) -> None:
    await create(stores)
    summary = await write(
        stores,
        ride(1, "oslo", 7, at="2024-05-01T12:00:00.5Z", route=[0.5, 1.5], note="ø"),
        ride(2, "oslo", None, at="2024-05-01T14:00:00+02:00", route=None, note=""),
    )
    assert (summary.rows, summary.applied, summary.position) == (2, 2, 2)
    found = await read(stores, ["rides:*"], ride(1, "oslo"), ride(2, "oslo"), ride(1, "bergen"))
    assert dict(found[0].values) == {"rides:trips": 7, "rides:route": found[0].values["rides:route"], "rides:note": "ø"}
    assert list(found[0].values["rides:route"]) == [0.5, 1.5]
    assert found[0].event_times["rides"].ToJsonString() == "2024-05-01T12:00:00.500Z"
    assert found[1].event_times["rides"].ToJsonString() == "2024-05-01T12:00:00Z"
    assert dict(found[1].statuses) == {
        "rides:trips": ValueStatus.VALUE_STATUS_NULL_VALUE,
        "rides:route": ValueStatus.VALUE_STATUS_NULL_VALUE,
        "rides:note": ValueStatus.VALUE_STATUS_PRESENT,
    }
    assert set(found[2].statuses.values()) == {ValueStatus.VALUE_STATUS_NOT_FOUND}
    assert not found[2].event_times


async def test_packed_columns_are_streamed_acknowledged_and_read_back_bit_for_bit(stores: Stores) -> None:
    await create(stores)

    async def batches() -> AsyncIterator[pb.StreamFeaturesRequest]:
        for first in range(0, 100, 25):
            drivers = list(range(first, first + 25))
            batch = pb.WriteBatch(group="rides", columns=packed(drivers, drivers), event_times_us=[START])
            yield pb.StreamFeaturesRequest(batch=batch)

    answers = [answer async for answer in stores.features.StreamFeatures(batches(), timeout=DEADLINE)]
    assert [answer.acknowledged_batches for answer in answers] == [1, 2, 3, 4]
    assert (answers[-1].summary.rows, answers[-1].summary.applied, answers[-1].summary.position) == (100, 100, 100)
    entities = Columns(columns=KEYS, rows=2, data=np.array([99, 26], dtype="<i8").tobytes() + cities("oslo", "oslo"))
    request = pb.GetOnlineFeaturesRequest(features=["rides:route", "rides:trips"], entities=entities)
    [group] = (await stores.features.GetOnlineFeatures(request, timeout=DEADLINE)).groups
    assert [(column.name, column.vector_length) for column in group.columns.columns] == [("route", 2), ("trips", 0)]
    route = np.array([[48, 49], [2, 3]], dtype="<f4")
    assert group.columns.data == route.tobytes() + np.array([99, 26], dtype="<i8").tobytes()
    assert (list(group.event_times_us), group.statuses) == ([START, START], bytes([1] * 4))


async def test_a_stream_of_reads_is_answered_in_order_and_remembers_its_references(stores: Stores) -> None:
    await create(stores)
    await write(stores, *(ride(driver, "oslo", driver) for driver in range(5)))

    async def asked() -> AsyncIterator[pb.StreamOnlineFeaturesRequest]:
        for driver in (3, 0, 4):
            features = ["rides:trips"] if driver == 3 else []
            yield pb.StreamOnlineFeaturesRequest(
                features=features, rows=objects(ride(driver, "oslo")), layout=pb.VALUE_LAYOUT_ROWS
            )

    answers = [answer.answer async for answer in stores.features.StreamOnlineFeatures(asked(), timeout=DEADLINE)]
    assert [answer.rows[0].values["rides:trips"] for answer in answers] == [3, 0, 4]


async def test_values_older_than_the_maximal_age_are_marked_and_still_delivered(stores: Stores) -> None:
    await create(stores, rides(max_age={"seconds": 3600}))
    await write(stores, ride(1, "oslo", 7, at="2024-05-01T12:00:00Z"))
    await write(stores, ride(2, "oslo", 8))
    old, new = await read(stores, ["rides:trips"], ride(1, "oslo"), ride(2, "oslo"))
    assert (old.statuses["rides:trips"], old.values["rides:trips"]) == (ValueStatus.VALUE_STATUS_OUTSIDE_MAX_AGE, 7)
    assert (new.statuses["rides:trips"], new.values["rides:trips"]) == (ValueStatus.VALUE_STATUS_PRESENT, 8)


async def test_a_deleted_entity_is_not_found_until_a_newer_event_comes(stores: Stores) -> None:
    await create(stores)
    await write(stores, ride(1, "oslo", 7, at="2024-05-01T12:00:00Z"))
    request = pb.DeleteEntitiesRequest(
        group="rides", rows=objects(ride(1, "oslo")), event_time=Timestamp(seconds=1_720_000_000)
    )
    assert (await stores.features.DeleteEntities(request, timeout=DEADLINE)).summary.applied == 1
    assert (await write(stores, ride(1, "oslo", 8, at="2024-06-01T12:00:00Z"))).late == 1
    [gone] = await read(stores, ["rides:trips"], ride(1, "oslo"))
    assert gone.statuses["rides:trips"] == ValueStatus.VALUE_STATUS_NOT_FOUND
    await write(stores, ride(1, "oslo", 9, at="2024-08-01T12:00:00Z"))
    [back] = await read(stores, ["rides:trips"], ride(1, "oslo"))
    assert back.values["rides:trips"] == 9


async def test_a_deleted_group_takes_its_values_along_and_frees_its_name(stores: Stores) -> None:
    first = await create(stores)
    await write(stores, ride(1, "oslo", 7))
    await stores.features.DeleteFeatureGroup(pb.DeleteFeatureGroupRequest(group="rides"), timeout=DEADLINE)
    assert (await refused(read(stores, ["rides:trips"], ride(1, "oslo"))))[:2] == (grpc.StatusCode.NOT_FOUND, "GROUP_UNKNOWN")
    second = await create(stores)
    assert second.id != first.id
    [found] = await read(stores, ["rides:trips"], ride(1, "oslo"))
    assert found.statuses["rides:trips"] == ValueStatus.VALUE_STATUS_NOT_FOUND
    assert not (stores.data / "features" / "history" / first.id).exists()


@pytest.mark.parametrize(
    ("row", "reason", "field"),
    [
        (ride(1, "oslo", 7, speed=3), "COLUMN_UNKNOWN", "batch.rows"),
        (ride(1, "oslo", note=3), "VALUE_TYPE", "batch.rows[0].note"),
        ({"driver": 1.5, "city": "oslo"}, "VALUE_TYPE", "batch.rows[0].driver"),
        (ride(1, "oslo", route=[1.0]), "VALUE_TYPE", "batch.rows[0].route"),
        (ride(1, "oslo", at="yesterday"), "VALUE_TYPE", "batch.rows[0].event_time"),
        (ride(1, "oslo", at="2124-05-01T12:00:00Z"), "EVENT_TIME_IN_FUTURE", "batch.event_times_us"),
        (ride(1, "oslo", sequence="99999999999999999999"), "ROWS_UNEVEN", "batch.rows.sequence"),
        (ride(1, "oslo", sequence=-1), "ROWS_UNEVEN", "batch.rows.sequence"),
        ({"driver": 1}, "COLUMN_MISSING", "batch.columns"),
    ],
)
async def test_a_row_that_does_not_fit_is_refused_naming_the_field(
    stores: Stores, row: dict[str, Any], reason: str, field: str
) -> None:
    await create(stores)
    assert await refused(write(stores, row)) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)
    assert (await write(stores, ride(1, "oslo", 1))).position == 1


async def test_numbers_that_json_lacks_are_read_by_people_as_they_are_written(stores: Stores) -> None:
    await create(stores)
    await write(stores, ride(1, "oslo", route=["NaN", "-Infinity"]))
    [found] = await read(stores, ["rides:route"], ride(1, "oslo"))
    assert json.loads(MessageToJson(found))["values"]["rides:route"] == ["NaN", "-Infinity"]


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 100, b"\0" * 8 + b"\xff" * 4])
async def test_columns_whose_bytes_do_not_add_up_are_refused(stores: Stores, data: bytes) -> None:
    await create(stores)
    request = pb.GetOnlineFeaturesRequest(features=["rides:trips"], entities=Columns(columns=KEYS, rows=1, data=data))
    refusal = await refused(stores.features.GetOnlineFeatures(request, timeout=DEADLINE))
    assert refusal == (grpc.StatusCode.INVALID_ARGUMENT, "COLUMNS_LENGTH", "entities.data")


async def test_bounds_of_the_configuration_hold(serve: ServeStores) -> None:
    async with serve(features={"entities_per_read": 2, "rows_per_batch": 2}) as stores:
        await create(stores)
        assert (await refused(write(stores, *(ride(n, "oslo") for n in range(3)))))[1] == "BATCH_TOO_LARGE"
        entities = [ride(n, "oslo") for n in range(3)]
        assert (await refused(read(stores, ["rides:trips"], *entities)))[1:] == ("ENTITIES_COUNT", "entities")


async def test_many_rows_are_packed_and_read_off_the_event_loop_with_the_same_outcome(serve: ServeStores) -> None:
    async with serve(features={"inline_rows": 1}) as stores:
        await create(stores)
        await write(stores, *(ride(n, "oslo", 10 * n) for n in range(3)))
        found = await read(stores, ["rides:trips"], *(ride(n, "oslo") for n in range(3)))
        assert [row.values["rides:trips"] for row in found] == [0, 10, 20]
        refusal = await refused(read(stores, ["rides:trips"], {"driver": 1}, {"driver": 2}))
        assert refusal[1:] == ("COLUMN_MISSING", "entities")
