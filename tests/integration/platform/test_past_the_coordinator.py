"""Nobody outside the mesh can load, unload or route past the coordinator: not directly, not through Envoy, not over HTTP."""

from __future__ import annotations

import grpc
import pytest

from synapsenet_api.inference.v1 import inference_control_service_pb2 as control_pb
from synapsenet_api.inference.v1 import inference_service_pb2 as inference_pb
from synapsenet_api.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from synapsenet_api.lifecycle.v1 import lifecycle_control_service_pb2 as lifecycle_pb
from synapsenet_api.lifecycle.v1 import participant_control_service_pb2 as step_pb
from tests.live import LivePlatform

FENCE = control_pb.OperationFence(operation_id="op-1", step="load", epoch=1, token=1 << 39)
STEP = step_pb.StepCall(
    operation_id="op-1", step="load", saga="deploy", saga_version=1, model_id="mdl-1", version=1, participant="inference"
)
HELD = step_pb.Fence(epoch=1, token=1 << 39)
LOAD = control_pb.LoadModelRequest(fence=FENCE, model_id="mdl-1", version=1)
WAYS = {
    "/synapsenet.inference.v1.InferenceControlService/LoadModel": LOAD,
    "/synapsenet.inference.v1.InferenceControlService/WarmModel": LOAD,
    "/synapsenet.inference.v1.InferenceControlService/RouteTraffic": control_pb.RouteTrafficRequest(fence=FENCE, model_id="m"),
    "/synapsenet.inference.v1.InferenceControlService/UnloadModel": LOAD,
    "/synapsenet.lifecycle.v1.ParticipantControlService/PrepareStep": step_pb.PrepareStepRequest(call=STEP, fence=HELD),
    "/synapsenet.lifecycle.v1.ParticipantControlService/ExecuteStep": step_pb.ExecuteStepRequest(call=STEP, fence=HELD),
    "/synapsenet.lifecycle.v1.ParticipantControlService/CompensateStep": step_pb.CompensateStepRequest(call=STEP, fence=HELD),
    "/synapsenet.lifecycle.v1.LifecycleControlService/MoveVersion": lifecycle_pb.MoveVersionRequest(
        model_id="mdl-1", version=1, state="serving"
    ),
}


@pytest.fixture(params=["directly", "through Envoy"])
def address(request: pytest.FixtureRequest, platform: LivePlatform) -> str:
    return platform.grpc if request.param == "directly" else platform.http


@pytest.mark.parametrize("method", WAYS)
@pytest.mark.parametrize("header", [(), (("synapsenet-participant", "inference"),)], ids=["plain", "addressed"])
def test_a_control_call_is_answered_by_nobody(address: str, method: str, header: tuple[tuple[str, str], ...]) -> None:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(method, lambda message: message.SerializeToString(), bytes)
        with pytest.raises(grpc.RpcError) as refusal:
            call(WAYS[method], timeout=10, metadata=header)
        error: grpc.Call = refusal.value  # type: ignore[assignment]  # what a call raises is one
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        listed = InferenceServiceStub(channel).ListDeployments(inference_pb.ListDeploymentsRequest(), timeout=10)
        assert not [one for one in listed.deployments if one.model_id == "mdl-1"]


@pytest.mark.parametrize("method", WAYS)
def test_a_control_call_has_no_route_over_http(platform: LivePlatform, method: str) -> None:
    status, _ = platform.post(method, {})
    assert status in (404, 501)
