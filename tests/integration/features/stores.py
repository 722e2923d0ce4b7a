"""What the tests of this folder call: stubs of the feature store and of monitoring while they are served."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from synapsenet_api.features.v1 import feature_group_pb2
from synapsenet_api.features.v1 import feature_service_pb2 as pb
from synapsenet_api.features.v1.value_pb2 import ValueType

DEADLINE = 30.0
START = 1_700_000_000_000_000  # µs since 1970


@dataclass(frozen=True, slots=True)
class Stores:
    """The stubs of one run; `Any`, as they are asyncio ones.

    Attributes:
        data: the platform's folder.
    """

    features: Any
    monitoring: Any
    control: Any
    data: Path


class ServeStores(Protocol):
    def __call__(self, **sections: dict[str, Any]) -> AbstractAsyncContextManager[Stores]: ...


def rides(**fields: Any) -> feature_group_pb2.FeatureGroup:
    """A group of composite keys with a number, a vector and a text."""
    key, feature = feature_group_pb2.EntityKey, feature_group_pb2.Feature
    return feature_group_pb2.FeatureGroup(
        name="rides",
        entity_keys=[key(name="driver", type=ValueType.VALUE_TYPE_INT64), key(name="city", type=ValueType.VALUE_TYPE_STRING)],
        features=[
            feature(name="trips", type=ValueType.VALUE_TYPE_INT64),
            feature(name="route", type=ValueType.VALUE_TYPE_FLOAT, vector_length=2),
            feature(name="note", type=ValueType.VALUE_TYPE_STRING),
        ],
        **fields,
    )


def objects(*rows: dict[str, Any]) -> list[Struct]:
    """JSON objects as the contract's rows for people."""
    made = [Struct() for _ in rows]
    for struct, row in zip(made, rows, strict=True):
        struct.update(row)
    return made


def ride(driver: int, city: str, trips: int | None = None, at: str | None = None, **more: Any) -> dict[str, Any]:
    """A row for people."""
    given = {"driver": driver, "city": city, **({} if trips is None else {"trips": trips}), **more}
    return given if at is None else {**given, "event_time": at}


async def refused(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """Code, reason and field of the refusal that `call` ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    error: Any = refusal.value
    status, info, bad = rpc_status.from_call(error), ErrorInfo(), BadRequest()
    assert status is not None
    assert error.details()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    return error.code(), info.reason, bad.field_violations[0].field if bad.field_violations else ""


async def create(stores: Stores, group: feature_group_pb2.FeatureGroup | None = None, request_id: str = "") -> Any:
    request = pb.CreateFeatureGroupRequest(group=group or rides(), request_id=request_id)
    return (await stores.features.CreateFeatureGroup(request, timeout=DEADLINE)).group


async def write(stores: Stores, *rows: dict[str, Any]) -> Any:
    batch = pb.WriteBatch(group="rides", rows=objects(*rows))
    return (await stores.features.WriteFeatures(pb.WriteFeaturesRequest(batch=batch), timeout=DEADLINE)).summary


async def read(stores: Stores, features: list[str], *rows: dict[str, Any]) -> Any:
    """The answer as rows for people."""
    request = pb.GetOnlineFeaturesRequest(features=features, rows=objects(*rows), layout=pb.VALUE_LAYOUT_ROWS)
    return (await stores.features.GetOnlineFeatures(request, timeout=DEADLINE)).rows
