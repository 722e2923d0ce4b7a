"""Training sets over real connections: what was acknowledged is in them, they never change, and damage is noticed."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import grpc
import pyarrow as pa
import pytest
from google.protobuf.duration_pb2 import Duration

from synapsenet_api.features.v1 import feature_service_pb2 as pb
from synapsenet_api.features.v1.training_set_pb2 import Knowledge, Spine
from tests.integration.features.stores import DEADLINE, ServeStores, Stores, create, objects, refused, ride, write

NOON = "2024-05-01T12:00:00Z"
ONE = "2024-05-01T13:00:00Z"
TWO = "2024-05-01T14:00:00Z"


def row(driver: int, instant: str) -> dict[str, Any]:
    return {"driver": driver, "city": "oslo", "instant": instant}


async def build(stores: Stores, *rows: dict[str, Any], features: tuple[str, ...] = ("rides:trips",), **fields: Any) -> Any:
    request = pb.BuildTrainingSetRequest(spine=Spine(rows=objects(*rows)), features=features, **fields)
    return (await stores.features.BuildTrainingSet(request, timeout=DEADLINE)).training_set


async def download(stores: Stores, training_set: Any) -> bytes:
    request = pb.ReadTrainingSetRequest(training_set_id=training_set.id)
    pieces = [piece async for piece in stores.features.ReadTrainingSet(request, timeout=DEADLINE)]
    assert (pieces[0].size_bytes, pieces[0].sha256) == (training_set.size_bytes, training_set.sha256)
    return b"".join(piece.data for piece in pieces)


async def test_a_write_acknowledged_a_moment_ago_is_in_the_training_set(serve: ServeStores) -> None:
    async with serve(features={"mirror_interval_s": 3600.0}) as stores:
        await create(stores)
        for trips in range(20):
            summary = await write(stores, ride(1, "oslo", trips, at=NOON, sequence=trips))
            made = await build(stores, row(1, ONE))
            table = pa.ipc.open_stream(await download(stores, made)).read_all()
            assert table["rides:trips"].to_pylist() == [trips]
            assert made.position >= summary.position


async def test_rows_are_joined_as_of_their_instants_with_what_is_missing_counted(stores: Stores) -> None:
    await create(stores)
    await write(stores, ride(1, "oslo", 1, at=NOON, route=[1.0, 2.0]), ride(1, "oslo", 2, at=ONE), ride(2, "oslo", 3, at=TWO))
    spine = [row(1, "2024-05-01T12:30:00Z"), row(2, ONE), row(1, TWO)]
    made = await build(stores, *spine, features=("rides:route", "rides:trips"), name="rides of May")
    data = await download(stores, made)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (made.size_bytes, made.sha256)
    table = pa.ipc.open_stream(data).read_all()
    assert table.column_names == [column.name for column in made.columns]
    assert table["rides:trips"].to_pylist() == [1, None, 2]
    assert table["rides:route"].to_pylist() == [[1.0, 2.0], None, None]
    assert list(made.missing_fractions) == [pytest.approx(2 / 3), pytest.approx(1 / 3)]
    assert (made.name, made.rows) == ("rides of May", 3)


async def test_a_training_set_does_not_change_with_what_is_written_or_deleted_later(stores: Stores) -> None:
    await create(stores)
    await write(stores, ride(1, "oslo", 1, at=NOON))
    made = await build(stores, row(1, ONE))
    before = await download(stores, made)
    await write(stores, ride(1, "oslo", 99, at=NOON, sequence=1))
    assert (await build(stores, row(1, ONE))).sha256 != made.sha256
    await stores.features.DeleteFeatureGroup(pb.DeleteFeatureGroupRequest(group="rides"), timeout=DEADLINE)
    assert await download(stores, made) == before
    listed = await stores.features.ListTrainingSets(pb.ListTrainingSetsRequest(page_size=1), timeout=DEADLINE)
    assert listed.next_page_token
    got = await stores.features.GetTrainingSet(pb.GetTrainingSetRequest(training_set_id=made.id), timeout=DEADLINE)
    assert got.training_set == made


async def test_maximal_age_and_knowledge_limit_what_a_row_may_see(stores: Stores) -> None:
    await create(stores)
    await write(stores, ride(1, "oslo", 1, at=NOON))
    hour = Duration(seconds=3600)
    assert list((await build(stores, row(1, ONE), row(1, TWO), max_age=hour)).missing_fractions) == [0.5]
    late = await build(stores, row(1, TWO), knowledge=Knowledge.KNOWLEDGE_AT_INSTANT)
    assert list(late.missing_fractions) == [1.0]


async def test_a_retry_with_its_request_id_gives_the_same_training_set(stores: Stores) -> None:
    await create(stores)
    first, second = [await build(stores, row(1, ONE), request_id="b-1") for _ in range(2)]
    assert first == second
    code, reason, _ = await refused(build(stores, row(1, TWO), request_id="b-1"))
    assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_damaged_bytes_are_noticed_before_the_stream_ends(stores: Stores) -> None:
    await create(stores)
    made = await build(stores, row(1, ONE))
    [file] = [
        path for path in (stores.data / "artifacts").rglob("*") if path.is_file() and path.stat().st_size == made.size_bytes
    ]
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(whole)
    assert (await refused(download(stores, made)))[:2] == (grpc.StatusCode.DATA_LOSS, "ARTIFACT_CORRUPT")


async def test_what_the_mirror_moves_by_itself_is_not_moved_twice_after_a_restart(serve: ServeStores) -> None:
    async with serve(features={"mirror_interval_s": 0.01}) as stores:
        group = await create(stores)
        await write(stores, *(ride(driver, "oslo", driver, at=NOON) for driver in range(50)))
        history = stores.data / "features" / "history" / group.id
        async with asyncio.timeout(DEADLINE):
            while not list(history.glob("*.parquet")):
                await asyncio.sleep(0.01)
    async with serve() as stores:
        await write(stores, ride(1, "oslo", 99, at=ONE))
        made = await build(stores, *(row(driver, ONE) for driver in range(50)))
        assert made.missing_fractions == [0.0]
        rows = [pa.parquet.read_table(file)["_position"].to_pylist() for file in sorted(history.glob("*.parquet"))]
        assert sorted(position for file in rows for position in file) == list(range(1, 52))


@pytest.mark.parametrize(
    ("spine", "fields", "reason"),
    [
        ([{"driver": 1, "instant": ONE}], {}, "COLUMN_MISSING"),
        ([{"driver": 1, "city": "oslo"}], {}, "INSTANTS_COUNT"),
        ([row(1, ONE), {"driver": 1, "city": "oslo"}], {}, "ROWS_UNEVEN"),
        ([row(1, ONE)], {"features": ("rides:ghost",)}, "FEATURE_UNKNOWN"),
        ([row(1, ONE)], {"max_age": Duration(seconds=-1)}, "MAX_AGE_NOT_POSITIVE"),
        ([row(1, ONE)] * 3, {}, "SPINE_SIZE"),
    ],
)
async def test_a_spine_that_does_not_fit_is_refused(
    serve: ServeStores, spine: list[dict[str, Any]], fields: dict[str, Any], reason: str
) -> None:
    async with serve(features={"spine_rows": 2}) as stores:
        await create(stores)
        assert (await refused(build(stores, *spine, **fields)))[1] == reason
