"""The registry takes part in sagas, as a coordinator asks it to over the mesh; and the real one does."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from synapsenet.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    SynapseError,
    Unimplemented,
)
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as lifecycle_pb
from synapsenet_api.lifecycle.v1 import participant_control_service_pb2 as steps_pb
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from synapsenet_api.lifecycle.v1.participant_control_service_pb2_grpc import ParticipantControlServiceStub
from synapsenet_api.models.v1 import model_service_pb2 as models_pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_api.registry.v1 import registry_control_service_pb2 as control_pb
from synapsenet_api.registry.v1 import registry_service_pb2 as pb
from synapsenet_api.registry.v1 import version_pb2
from synapsenet_api.registry.v1.registry_control_service_pb2_grpc import RegistryControlServiceStub
from synapsenet_api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from synapsenet_servers.bootstrap.host import hosting
from synapsenet_servers.bootstrap.platform import open_platform
from synapsenet_servers.bootstrap.roles import ROLES
from synapsenet_servers.config import Config
from synapsenet_servers.peers.failures import asked

ARCHIVED = version_pb2.VERSION_STATE_ARCHIVED


@dataclass(frozen=True, slots=True)
class Inside:
    """Stubs on the mesh's socket, and a model with one version; `any`, as they are asyncio ones."""

    registry: Any
    control: Any
    steps: Any
    lifecycle: Any
    model_id: str

    async def step(self, kind: str, step: str, *, fence: int = 1, participant: str = "registry", **other: Any) -> Any:
        """What the participant answers, or the error that it raises."""
        call = steps_pb.StepCall(
            operation_id="op-1", step=step, saga="archive", saga_version=1, model_id=self.model_id, version=1
        )
        call.participant = participant
        request = getattr(steps_pb, f"{kind}StepRequest")(call=call, fence=steps_pb.Fence(token=fence), **other)
        return await asked(getattr(self.steps, f"{kind}Step")(request, timeout=10), "registry")

    async def refused(self, *args: Any, **other: Any) -> SynapseError:
        with pytest.raises(SynapseError) as refusal:
            await self.step(*args, **other)
        return refusal.value

    async def alias(self) -> None:
        await asked(self.registry.SetAlias(pb.SetAliasRequest(model_id="digits", alias="champion", version=1)), "registry")


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    roles = {area: ROLES[area] for area in ("models", "registry", "lifecycle")}
    async with (
        open_platform(Config(), data=tmp_path / "data") as platform,
        hosting(platform, roles, outer=[], absent=()),
        grpc.aio.insecure_channel(platform.mesh) as channel,
    ):
        models: Any = ModelServiceStub(channel)
        registry: Any = RegistryServiceStub(channel)
        model = (await models.CreateModel(models_pb.CreateModelRequest(name="digits"))).model
        await registry.CreateVersion(pb.CreateVersionRequest(model_id="digits"))
        yield Inside(
            registry=registry,
            control=RegistryControlServiceStub(channel),
            steps=ParticipantControlServiceStub(channel),
            lifecycle=LifecycleServiceStub(channel),
            model_id=model.id,
        )


async def test_a_step_is_prepared_executed_once_and_undone_for_good(inside: Inside) -> None:
    prepared = await inside.step("Prepare", "seal")
    assert dict(prepared.compensation_input) == {"sealed": False}
    assert [(await inside.step("Execute", "seal")).repeated_call for _ in range(2)] == [False, True]
    with pytest.raises(FailedPrecondition, match="takes no alias"):
        await inside.alias()
    undoing = {"compensation_input": prepared.compensation_input}
    assert [(await inside.step("Compensate", "seal", **undoing)).repeated_call for _ in range(2)] == [False, True]
    late = await inside.refused("Execute", "seal")
    assert (type(late), late.reason) == (FailedPrecondition, "STEP_COMPENSATED")
    await inside.alias()


async def test_who_holds_the_model_no_more_is_refused_on_the_wire_too(inside: Inside) -> None:
    await inside.step("Prepare", "seal", fence=(1 << 40) - 1)
    for kind in ("Prepare", "Execute", "Compensate"):
        refusal = await inside.refused(kind, "seal", fence=1)
        assert (type(refusal), refusal.reason) == (FailedPrecondition, "FENCED")
        assert refusal.metadata == {"model_id": inside.model_id, "held": str((1 << 40) - 1), "given": "1"}


@pytest.mark.parametrize(
    ("other", "kind", "reason"),
    [
        ({"step": "sing"}, Unimplemented, "STEP_UNKNOWN"),
        ({"participant": "inference"}, NotFound, "PARTICIPANT_UNKNOWN"),
        ({"participant": ""}, InvalidArgument, "FIELD_MISSING"),
        ({"fence": 0}, InvalidArgument, "FENCE_INVALID"),
        ({"fence": 1 << 40}, InvalidArgument, "FENCE_INVALID"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    inside: Inside, other: dict[str, Any], kind: type[SynapseError], reason: str
) -> None:
    refusal = await inside.refused("Execute", **{"step": "seal"} | other)
    assert (type(refusal), refusal.reason) == (kind, reason)


async def test_a_damaged_word_of_the_coordinator_is_refused(inside: Inside) -> None:
    request = control_pb.KeepVersionStateRequest(model_id=inside.model_id, version=1, state=ARCHIVED)
    request.change_time.GetCurrentTime()
    with pytest.raises(InvalidArgument) as refusal:
        await asked(inside.control.KeepVersionState(request), "registry")
    assert refusal.value.reason == "SEQUENCE_INVALID"


async def test_to_archive_a_version_is_a_saga_that_seals_it(inside: Inside) -> None:
    request = pb.SetVersionStateRequest(model_id="digits", version=1, state=ARCHIVED, reason="done with it")
    assert (await inside.registry.SetVersionState(request)).version.state == ARCHIVED
    with pytest.raises(FailedPrecondition) as refusal:
        await inside.alias()
    assert refusal.value.reason == "VERSION_ARCHIVED"
    found = await inside.lifecycle.ListOperations(lifecycle_pb.ListOperationsRequest(model_id="digits"))
    (operation,) = found.operations
    assert [step.name for step in operation.steps] == ["seal"]
    history = await inside.lifecycle.ListTransitions(lifecycle_pb.ListTransitionsRequest(model_id="digits"))
    assert (history.transitions[0].to_state, history.transitions[0].reason) == ("archived", "done with it")


async def test_a_version_with_an_alias_is_not_archived_whoever_asks(inside: Inside) -> None:
    await inside.alias()
    request = pb.SetVersionStateRequest(model_id="digits", version=1, state=ARCHIVED)
    with pytest.raises(FailedPrecondition) as refusal:
        await asked(inside.registry.SetVersionState(request), "registry")
    assert (refusal.value.reason, refusal.value.field) == ("VERSION_HAS_ALIASES", "state")
    archive = lifecycle_pb.ArchiveVersionRequest(model_id="digits", version=1)
    with pytest.raises(FailedPrecondition) as other:
        await asked(inside.lifecycle.ArchiveVersion(archive), "lifecycle")
    assert other.value.reason == "VERSION_HAS_ALIASES"


async def test_what_the_coordinator_moves_the_registry_shows_and_tells_why(inside: Inside, tmp_path: Path) -> None:
    intent = lifecycle_pb.Intent(reason="new data")
    train = lifecycle_pb.TransitionVersionRequest(model_id="digits", version=1, event="train", intent=intent)
    status = (await inside.lifecycle.TransitionVersion(train)).status
    found = (await inside.registry.GetVersion(pb.GetVersionRequest(model_id="digits", version=1))).version
    assert (status.state, found.state, found.etag) == ("training", version_pb2.VERSION_STATE_TRAINING, "r2")
    with closing(sqlite3.connect(tmp_path / "data" / "registry" / "registry.sqlite")) as records:
        ((payload,),) = records.execute("SELECT payload FROM outbox WHERE type = 'VersionMoved'").fetchall()
    assert json.loads(payload)["reason"] == "new data"
