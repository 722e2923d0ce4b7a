"""Freshness over real connections: monitoring asks the feature store over the mesh."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from synapsenet_api.features.v1.feature_control_service_pb2 import StreamAgesRequest
from synapsenet_api.features.v1.freshness_sla_pb2 import FreshnessSla
from synapsenet_api.monitoring.v1 import monitoring_service_pb2 as pb
from synapsenet_api.monitoring.v1.freshness_pb2 import FreshnessState
from tests.integration.features.stores import DEADLINE, Stores, create, ride, rides, write

HOUR = FreshnessSla(error_after=Duration(seconds=3600), warn_after=Duration(seconds=60))
LONG_AGO = "2024-05-01T12:00:00Z"


async def freshness(stores: Stores, **fields: Any) -> Any:
    return await stores.monitoring.GetFreshness(pb.GetFreshnessRequest(**fields), timeout=DEADLINE)


async def reason(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return refusal.value.code(), str(refusal.value.details())


async def test_a_group_tells_its_state_and_the_ages_of_its_entities(stores: Stores) -> None:
    await create(stores, rides(sla=HOUR))
    [never] = (await freshness(stores)).groups
    assert never.state == FreshnessState.FRESHNESS_STATE_NEVER_WRITTEN
    assert not never.HasField("newest_age_ms")
    assert not never.HasField("age_ms")
    before = time.time()
    await write(stores, ride(1, "oslo", 1))
    await write(stores, ride(2, "ber|gen", 1, at=LONG_AGO))
    [found] = (await freshness(stores, group=["rides"], top_k=1)).groups
    elapsed_ms = (time.time() - before) * 1_000
    assert found.state == FreshnessState.FRESHNESS_STATE_STALE
    assert (found.tracked, found.stale_count, found.stale_fraction) == (2, 1, 0.5)
    assert 0 <= found.newest_age_ms <= elapsed_ms
    assert found.age_ms.p50 == found.newest_age_ms
    assert found.age_ms.max == pytest.approx((found.as_of.ToNanoseconds() - 1_714_564_800_000_000_000) / 1e6)
    assert found.ingest_age_ms.max <= elapsed_ms
    assert found.ingest_lag_ms.p50 == 0
    assert (found.sla.error_after.seconds, found.sla.warn_after.seconds) == (3600, 60)
    assert 0 <= found.tracker_lag_ms <= elapsed_ms
    assert [entity.entity for entity in found.stalest] == [r"2|ber\|gen"]


async def test_an_entity_is_asked_for_by_its_text_and_tells_when_it_becomes_stale(stores: Stores) -> None:
    await create(stores, rides(sla=HOUR))
    await write(stores, ride(2, "oslo", 1, at=LONG_AGO), ride(3, "oslo", 1, at=LONG_AGO))
    [entity] = (await freshness(stores, group=["rides"], entity=["2|oslo"])).entities
    assert (entity.entity, entity.state) == ("2|oslo", FreshnessState.FRESHNESS_STATE_STALE)
    assert entity.event_time.ToJsonString() == LONG_AGO
    assert entity.stale_time.ToJsonString() == "2024-05-01T13:00:00Z"
    assert not (await freshness(stores, group=["rides"], entity=["2|oslo"], state=["FRESH"])).entities


async def test_groups_are_filtered_by_state_and_paged(stores: Stores) -> None:
    for name in ("a", "b", "c"):
        group = rides()
        group.name = name
        await create(stores, group)
    first = await freshness(stores, state=["NEVER_WRITTEN"], page_size=2)
    rest = await freshness(stores, state=["NEVER_WRITTEN"], page_size=2, page_token=first.next_page_token)
    assert [[group.group for group in page.groups] for page in (first, rest)] == [["a", "b"], ["c"]]
    assert not (await freshness(stores, state=["STALE"])).groups
    code, _ = await reason(freshness(stores, state=["STALE"], page_token=first.next_page_token))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_does_not_exist_is_named(stores: Stores) -> None:
    await create(stores)
    code, text = await reason(freshness(stores, group=["ghost"]))
    assert (code, "ghost" in text) == (grpc.StatusCode.NOT_FOUND, True)
    code, text = await reason(freshness(stores, group=["rides"], entity=["7|oslo"]))
    assert (code, "7|oslo" in text) == (grpc.StatusCode.NOT_FOUND, True)
    code, text = await reason(freshness(stores, group=["rides"], entity=["seven"]))
    assert (code, "driver|city" in text) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    code, text = await reason(freshness(stores, state=["ROTTEN"]))
    assert (code, "ROTTEN" in text) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_ages_are_not_told_outside_the_mesh(stores: Stores) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        _ = [piece async for piece in stores.control.StreamAges(StreamAgesRequest(), timeout=DEADLINE)]
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_what_comes_later_says_what_it_will_bring(stores: Stores) -> None:
    code, text = await reason(stores.monitoring.ListAlerts(pb.ListAlertsRequest(), timeout=DEADLINE))
    assert (code, "alerts will be raised" in text) == (grpc.StatusCode.UNIMPLEMENTED, True)
