"""A version validated over real connections: its artifact verified, a training set predicted, what was measured judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper

from synapsenet.testing.onnx_models import model, tensor
from synapsenet_api.features.v1 import feature_service_pb2 as features_pb
from synapsenet_api.features.v1.feature_control_service_pb2_grpc import FeatureControlServiceStub
from synapsenet_api.features.v1.feature_service_pb2_grpc import FeatureServiceStub
from synapsenet_api.features.v1.training_set_pb2 import Spine
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as pb
from synapsenet_api.lifecycle.v1 import operation_pb2, validation_report_pb2
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from synapsenet_api.monitoring.v1.monitoring_service_pb2_grpc import MonitoringServiceStub
from synapsenet_api.registry.v1 import registry_service_pb2 as registry_pb
from synapsenet_api.registry.v1 import version_pb2
from synapsenet_client._columns import columns_message
from tests.integration.features.stores import Stores, create, ride, write
from tests.integration.inference.conftest import Client
from tests.serving import serving_roles

NOON = "2024-05-01T12:00:00Z"
LATER_US = 1_714_570_000_000_000  # 13:26 that day
AREAS = "features", "models", "registry", "lifecycle", "inference"


def fare_model() -> bytes:
    """`fare` = 2 route[0] + 3 route[1] + 5 trips, float32 [-1, 3] to [-1, 1]."""
    return model(
        nodes=[helper.make_node("MatMul", ["features", "weights"], ["fare"])],
        inputs=[tensor("features", TensorProto.FLOAT, ["rows", 3])],
        outputs=[tensor("fare", TensorProto.FLOAT, ["rows", 1])],
        constants={"weights": np.array([[2], [3], [5]], np.float32)},
    )


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with serving_roles(tmp_path / "data", *AREAS, lifecycle={"lease_s": 1.0}) as roles:
        yield roles.channel


@pytest.fixture
async def set_id(channel: grpc.aio.Channel, tmp_path: Path) -> str:
    """Two rides: what the model says of them is 23 and 46, what they cost 24 and 48."""
    stores = Stores(
        features=FeatureServiceStub(channel),
        monitoring=MonitoringServiceStub(channel),
        control=FeatureControlServiceStub(channel),
        data=tmp_path,
    )
    await create(stores)
    await write(stores, ride(1, "oslo", 3, at=NOON, route=[1.0, 2.0]), ride(2, "oslo", 6, at=NOON, route=[2.0, 4.0]))
    columns = columns_message({"driver": [1, 2], "city": ["oslo", "oslo"], "paid": [24.0, 48.0]})
    spine = Spine(columns=columns, instants_us=[LATER_US])
    request = features_pb.BuildTrainingSetRequest(spine=spine, features=["rides:route", "rides:trips"])
    made = await stores.features.BuildTrainingSet(request, timeout=20)
    return str(made.training_set.id)


async def validated(channel: grpc.aio.Channel, version: Any, **fields: Any) -> tuple[Any, Any]:
    """The operation at its end, and the report."""
    stub = LifecycleServiceStub(channel)
    named = {"model_id": version.model_id, "version": version.version}
    begun = (await stub.ValidateVersion(pb.ValidateVersionRequest(**named, **fields), timeout=20)).operation
    waited = await stub.WaitOperation(pb.WaitOperationRequest(operation_id=begun.id), timeout=20)
    report = await stub.GetValidationReport(pb.GetValidationReportRequest(**named), timeout=20)
    return waited.operation, report.report


def at_most(value: float) -> validation_report_pb2.Threshold:
    return validation_report_pb2.Threshold(metric="mae", comparator=validation_report_pb2.COMPARATOR_AT_MOST, value=value)


@pytest.mark.parametrize("limit", [1.5, 1.4])
async def test_a_version_is_registered_if_what_a_training_set_says_of_it_is_good_enough(
    channel: grpc.aio.Channel, set_id: str, limit: float
) -> None:
    client = Client(channel)
    version = await client.upload("fares", fare_model())
    operation, report = await validated(channel, version, evaluation_set_id=set_id, label="paid", thresholds=[at_most(limit)])
    assert dict(report.metrics) == {"mae": pytest.approx(1.5), "rmse": pytest.approx(np.sqrt(2.5))}
    assert (report.examples, report.evaluation_set_id) == (2, set_id)
    assert report.passed is (limit == 1.5)
    state = (await client.state(version)).state
    if report.passed:
        assert operation.state == operation_pb2.OPERATION_STATE_SUCCEEDED
        assert state == version_pb2.VERSION_STATE_REGISTERED
    else:
        assert operation.state != operation_pb2.OPERATION_STATE_SUCCEEDED
        assert state != version_pb2.VERSION_STATE_REGISTERED


async def test_a_set_that_is_not_there_ends_the_validation_with_its_reason(channel: grpc.aio.Channel) -> None:
    version = await Client(channel).upload("fares", fare_model())
    stub = LifecycleServiceStub(channel)
    request = pb.ValidateVersionRequest(
        model_id=version.model_id, version=version.version, evaluation_set_id="ts-nothing", label="paid"
    )
    begun = (await stub.ValidateVersion(request, timeout=20)).operation
    waited = await stub.WaitOperation(pb.WaitOperationRequest(operation_id=begun.id), timeout=20)
    assert waited.operation.state == operation_pb2.OPERATION_STATE_COMPENSATED
    assert "ts-nothing" in waited.operation.error.message


async def test_who_deploys_as_before_there_were_validations_has_artifact_and_signature_checked_and_no_more(
    channel: grpc.aio.Channel,
) -> None:
    client, stub = Client(channel), LifecycleServiceStub(channel)
    version = await client.upload("fares", fare_model())
    assert (await client.state(version)).state == version_pb2.VERSION_STATE_VALIDATING
    approve = registry_pb.SetVersionStateRequest(
        model_id=version.model_id, version=version.version, state=version_pb2.VERSION_STATE_REGISTERED
    )
    await client.registry.SetVersionState(approve, timeout=20)
    await client.deploy(version)
    (operation,) = (await stub.ListOperations(pb.ListOperationsRequest(model_id=version.model_id), timeout=20)).operations
    assert [step.name for step in operation.steps] == [
        "reserve",
        "fetch",
        "load",
        "warm_up",
        "shift_traffic",
        "retire_previous",
    ]
    with pytest.raises(grpc.aio.AioRpcError, match="was never validated"):
        await stub.GetValidationReport(
            pb.GetValidationReportRequest(model_id=version.model_id, version=version.version), timeout=20
        )
