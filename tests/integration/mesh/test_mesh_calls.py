"""What a call meets on its way through a host's mesh while everything is well."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
import pytest_asyncio

from synapsenet_api.lifecycle.v1 import participant_control_service_pb2 as participant
from synapsenet_api.lifecycle.v1.participant_control_service_pb2_grpc import ParticipantControlServiceStub
from synapsenet_api.registry.v1 import registry_control_service_pb2 as control
from synapsenet_api.registry.v1.registry_control_service_pb2_grpc import RegistryControlServiceStub
from synapsenet_servers.mesh.addressing import addressed_to
from tests.integration.mesh.small_mesh import SmallMesh, small_mesh

STEP = participant.ExecuteStepRequest(
    call=participant.StepCall(operation_id="op-1", step="load", saga_version=1, model_id="m", version=1, participant="any"),
    fence=participant.Fence(token=1),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="mesh")
async def _mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmallMesh]:
    folder = tmp_path_factory.mktemp("mesh")
    async with small_mesh(folder, zone="here") as mesh:
        await mesh.replica("near", zone="here")
        await mesh.replica("far", zone="there")
        await mesh.until_answering("near")
        yield mesh


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_calls_stay_in_their_zone_while_it_has_healthy_instances(mesh: SmallMesh) -> None:
    assert set(await mesh.shares(40)) == {"near"}


async def test_the_edge_and_the_mesh_reach_the_same_instances(mesh: SmallMesh) -> None:
    assert await mesh.ask(mesh.edge) == "near"
    async with httpx.AsyncClient(base_url=f"http://{mesh.edge}", trust_env=False) as client:
        answer = await client.get("/experiments/e")
    assert (answer.status_code, answer.json()["experiment"]["name"]) == (200, "near")


@pytest.mark.parametrize("through", ["mesh", "edge"])
async def test_deadline_trace_context_and_request_id_arrive_as_they_were_sent(mesh: SmallMesh, through: str) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sent = {"traceparent": trace, "tracestate": "vendor=1", "x-request-id": "mine", "x-anything": "a value"}
    seen = await mesh.seen("" if through == "mesh" else mesh.edge, timeout=7.0, metadata=tuple(sent.items()))
    assert {key: seen.get(key) for key in sent} == sent
    assert 5.0 < seen["time_remaining"] < 7.5  # the wire rounds it up


async def test_what_the_mesh_carries_between_services_has_no_marks_of_envoy(mesh: SmallMesh) -> None:
    seen = await mesh.seen()
    assert sorted(key for key in seen if key.startswith("x-") and key != "x-forwarded-proto") == []


async def test_control_services_are_on_the_mesh_and_not_on_the_edge(mesh: SmallMesh) -> None:
    codes = []
    for address in ("", mesh.edge):
        stub = RegistryControlServiceStub(mesh.channel(address))
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.CloseModel(control.CloseModelRequest(model_id="m"), timeout=5)
        codes.append(refusal.value.code())
    assert codes == [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED]


async def test_a_call_that_names_its_role_comes_to_that_role(mesh: SmallMesh) -> None:
    codes = []
    for metadata in (addressed_to("experiments"), addressed_to("inference"), ()):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await ParticipantControlServiceStub(mesh.channel()).ExecuteStep(STEP, timeout=5, metadata=metadata)
        codes.append(refusal.value.code())
    # The replica of experiments answers that it takes no part; of the others there is none.
    assert codes == [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]


async def test_a_role_that_nobody_serves_is_unavailable_at_once_and_in_our_words(mesh: SmallMesh) -> None:
    async with httpx.AsyncClient(base_url=f"http://{mesh.edge}", trust_env=False) as client:
        answer = await client.get("/models/m")
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (503, "PLATFORM_AWAY")


async def test_the_socket_is_open_to_its_user_alone(mesh: SmallMesh) -> None:
    assert mesh.socket.stat().st_mode & 0o777 == 0o600
