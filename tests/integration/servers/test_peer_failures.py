"""An error that one area raises arrives in another as it was raised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from synapsenet import errors
from synapsenet.registry.ports import ModelDirectory
from synapsenet_api.models.v1 import model_service_pb2 as pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceServicer, add_ModelServiceServicer_to_server
from synapsenet_servers.bootstrap.role import Service
from synapsenet_servers.interceptors.catalogue import CODES
from synapsenet_servers.peers.registry import GrpcModelDirectory
from synapsenet_servers.server import Server
from synapsenet_servers.server_options import ServerOptions


class Refusing(ModelServiceServicer):
    """Raises from GetModel what the test says."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        raise self._error()


@asynccontextmanager
async def directory(error: Callable[[], Exception], folder: Path) -> AsyncIterator[ModelDirectory]:
    """The registry's view of models whose service raises `error`."""
    servicer: Any = Refusing
    name = "synapsenet.models.v1.ModelService"
    service = Service(name=name, servicer=servicer(error), add=add_ModelServiceServicer_to_server)
    address = f"unix:{folder / 'models.sock'}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Server([service], [address], options=ServerOptions(drain_s=1.0)).serving())
        yield GrpcModelDirectory(await stack.enter_async_context(grpc.aio.insecure_channel(address)))


async def arrived(error: Callable[[], Exception], folder: Path) -> errors.SynapseError:
    async with directory(error, folder) as models:
        with pytest.raises(errors.SynapseError) as refusal:
            await models.find("digits", timeout=5)
    return refusal.value


@pytest.mark.parametrize("kind", CODES)
async def test_every_class_of_error_comes_back_as_itself(kind: type[errors.SynapseError], tmp_path: Path) -> None:
    sent = kind("SOME_REASON", "something is so", remedy="do otherwise", retry_after=1.5, metadata={"id": "x"})
    error = await arrived(lambda: sent, tmp_path)
    assert type(error) is kind
    assert (error.reason, error.public, error.metadata) == ("SOME_REASON", "something is so: do otherwise", {"id": "x"})
    assert error.retry_after == 1.5


@pytest.mark.parametrize("kind", [errors.InvalidArgument, errors.FailedPrecondition])
async def test_the_field_at_fault_comes_with_it(kind: type[errors.SynapseError], tmp_path: Path) -> None:
    assert (await arrived(lambda: kind("SOME_REASON", field="model_id"), tmp_path)).field == "model_id"


async def test_a_bug_of_the_peer_keeps_its_secret(tmp_path: Path) -> None:
    error = await arrived(lambda: ZeroDivisionError("/secret/path"), tmp_path)
    assert isinstance(error, errors.Internal)
    assert "/secret/path" not in error.public


async def test_a_peer_that_is_away_is_unavailable_under_its_name(tmp_path: Path) -> None:
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'nobody.sock'}") as channel:
        with pytest.raises(errors.Unavailable) as refusal:
            await GrpcModelDirectory(channel).find("digits", timeout=5)
    assert (refusal.value.reason, refusal.value.public) == ("PEER_UNAVAILABLE", "models does not answer: retry")


async def test_a_peer_that_does_not_answer_in_time_is_unavailable(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'silent.sock'}"
    silent = grpc.aio.server(maximum_concurrent_rpcs=None)
    silent.add_insecure_port(address)  # bound, and never started
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(errors.Unavailable) as refusal:
            await GrpcModelDirectory(channel).find("digits", timeout=0.05)
    assert refusal.value.reason == "PEER_UNAVAILABLE"
    await silent.stop(None)
