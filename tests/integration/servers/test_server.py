"""What every call to a server of the platform meets, seen by a plain gRPC client over a real connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status

from synapsenet import errors
from synapsenet_api.models.v1 import model_service_pb2 as pb
from synapsenet_api.models.v1 import model_service_pb2_grpc
from synapsenet_servers.bootstrap.role import Service
from synapsenet_servers.interceptors.catalogue import CODES
from synapsenet_servers.interceptors.limits import Limits
from synapsenet_servers.not_yet_available.row import Row
from synapsenet_servers.server import Server
from synapsenet_servers.server_options import ServerOptions

MODELS = "synapsenet.models.v1.ModelService"
Answer = Callable[[pb.CreateModelRequest, Any], Awaitable[pb.CreateModelResponse]]


def _models(answer: Answer) -> Models:
    return Models(answer)  # type: ignore[abstract]  # the other methods are not asked


class Models(model_service_pb2_grpc.ModelServiceServicer):
    """Answers CreateModel as the test says."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def CreateModel(self, request: pb.CreateModelRequest, context: Any) -> pb.CreateModelResponse:
        return await self._answer(request, context)


@asynccontextmanager
async def serving(answer: Answer, limits: Limits | None = None) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server whose CreateModel is `answer` and whose DeleteModel is not there yet."""
    service = Service(name=MODELS, servicer=_models(answer), add=model_service_pb2_grpc.add_ModelServiceServicer_to_server)
    absent = [Row(method=f"/{MODELS}/DeleteModel", brings="deleting comes with the next release")]
    options = ServerOptions(limits=limits or Limits(), drain_s=2.0)
    server = Server([service], ["127.0.0.1:0"], options=options, absent=absent)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server.serving())
        yield await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{server.ports[0]}"))


async def fails(error: Exception) -> grpc.aio.AioRpcError:
    """The status that a client sees when a servicer raises `error`."""

    async def answer(_request: Any, _context: Any) -> pb.CreateModelResponse:
        raise error

    async with serving(answer) as channel:
        return await refused(channel)


async def refused(channel: grpc.aio.Channel, **fields: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await create(channel, **fields)
    return refusal.value


async def create(channel: grpc.aio.Channel, timeout: float | None = 10, **fields: Any) -> pb.CreateModelResponse:
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    return await stub.CreateModel(pb.CreateModelRequest(**{"name": "m", **fields}), timeout=timeout)


async def accepted(_request: Any, _context: Any) -> pb.CreateModelResponse:
    return pb.CreateModelResponse()


def detail(refusal: grpc.aio.AioRpcError, kind: type[Any]) -> Any:
    status = rpc_status.from_call(refusal)  # type: ignore[arg-type]  # typed for the threaded stack, works for both
    assert status is not None
    for packed in status.details:
        message = kind()
        if packed.Unpack(message):
            return message
    return None


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
async def test_each_class_of_error_has_its_code_reason_sentence_and_facts(kind: type[errors.SynapseError]) -> None:
    refusal = await fails(kind("SOME_REASON", "it went wrong", remedy="do this", metadata={"id": "x"}))
    assert refusal.code() is CODES[kind]
    assert refusal.details() == "it went wrong: do this"
    info = detail(refusal, ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == ("SOME_REASON", "synapsenet", {"id": "x"})


async def test_a_field_at_fault_is_a_field_violation() -> None:
    refusal = await fails(errors.InvalidArgument("SHAPE_WRONG", field="job.shape", remedy="give two dimensions"))
    (violation,) = detail(refusal, BadRequest).field_violations
    assert violation.field == "job.shape"
    assert refusal.details() == "job.shape: shape wrong: give two dimensions"


async def test_a_bound_says_when_to_come_back() -> None:
    refusal = await fails(errors.ResourceExhausted("QUEUE_FULL", "full", retry_after=1.5))
    assert detail(refusal, RetryInfo).retry_delay.ToMilliseconds() == 1_500
    trailers: Any = refusal.trailing_metadata()
    assert dict(trailers)["retry-after"] == "2"


async def test_an_unmet_precondition_is_typed() -> None:
    refusal = await fails(errors.FailedPrecondition("NOT_DEPLOYED", "deploy it first"))
    assert detail(refusal, PreconditionFailure).violations[0].type == "NOT_DEPLOYED"


async def test_secrets_and_stack_traces_stay_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    refusal = await fails(errors.DataLoss("CORRUPT", "damaged", secret="SELECT password"))
    assert "password" not in str(refusal.details()) + str(refusal.trailing_metadata())
    assert "SELECT password" in caplog.text


async def test_a_bug_is_internal_with_an_incident_number_that_the_log_has(caplog: pytest.LogCaptureFixture) -> None:
    refusal = await fails(KeyError("the_private_key"))
    assert refusal.code() is grpc.StatusCode.INTERNAL
    text = str(refusal.details())
    incident = text.split("incident ")[1].split(")", maxsplit=1)[0]
    assert "the_private_key" not in text
    assert incident in caplog.text
    assert "the_private_key" in caplog.text


async def test_a_missing_required_field_is_refused_before_the_servicer_by_name() -> None:
    async with serving(accepted) as channel:
        refusal = await refused(channel, name="")
    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.details() == "name is missing: set it, it is required"
    assert detail(refusal, ErrorInfo).reason == "FIELD_MISSING"


async def test_an_over_large_message_is_refused_with_its_size_and_the_limit() -> None:
    async with serving(accepted, Limits(message_bytes=1_000)) as channel:
        refusal = await refused(channel, description="x" * 2_000)
    assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert detail(refusal, ErrorInfo).reason == "MESSAGE_TOO_LARGE"
    assert "over the limit of 1000" in str(refusal.details())


async def test_what_is_not_there_yet_says_what_will_come() -> None:
    async with serving(accepted) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.DeleteModel(pb.DeleteModelRequest(model_id="m"), timeout=10)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert detail(refusal.value, ErrorInfo).reason == "NOT_YET_AVAILABLE"
    assert "deleting comes with the next release" in str(refusal.value.details())


async def test_an_unknown_method_is_named() -> None:
    async with serving(accepted) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await channel.unary_unary("/no.such.Service/Call", bytes, bytes)(b"", timeout=10)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert detail(refusal.value, ErrorInfo).reason == "METHOD_UNKNOWN"


async def test_a_call_without_a_deadline_ends_at_the_maximum() -> None:
    async def slow(_request: Any, _context: Any) -> pb.CreateModelResponse:
        await asyncio.sleep(30)
        return pb.CreateModelResponse()

    async with serving(slow, Limits(longest_unary_s=0.1)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await create(channel, timeout=None)
    assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert detail(refusal.value, ErrorInfo).reason == "DEADLINE_EXCEEDED"


async def test_more_calls_than_there_is_room_for_are_refused_and_room_comes_back() -> None:
    release = asyncio.Event()

    async def held(_request: Any, _context: Any) -> pb.CreateModelResponse:
        await release.wait()
        return pb.CreateModelResponse()

    async with serving(held, Limits(concurrent_calls=3)) as channel:
        calls = [asyncio.create_task(create(channel)) for _ in range(5)]
        done, pending = await asyncio.wait(calls, timeout=10, return_when=asyncio.FIRST_EXCEPTION)
        while len(done) < 2:
            finished, pending = await asyncio.wait(pending, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            done |= finished
        assert {type(call.exception()) for call in done} == {grpc.aio.AioRpcError}
        release.set()
        await asyncio.gather(*pending)
        await asyncio.gather(*(create(channel) for _ in range(3)))


async def test_a_drain_lets_the_calls_under_way_end_and_says_not_serving() -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def held(_request: Any, _context: Any) -> pb.CreateModelResponse:
        begun.set()
        await release.wait()
        return pb.CreateModelResponse()

    service = Service(name=MODELS, servicer=_models(held), add=model_service_pb2_grpc.add_ModelServiceServicer_to_server)
    server = Server([service], ["127.0.0.1:0"], options=ServerOptions(drain_s=10.0))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.ports[0]}") as channel:
        async with server.serving():
            call = asyncio.create_task(create(channel))
            await begun.wait()
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=MODELS), timeout=10)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            told = asyncio.create_task(_end_when_told(watch, release))
        assert await told == health_pb2.HealthCheckResponse.NOT_SERVING
        assert isinstance(await call, pb.CreateModelResponse)


async def test_calls_that_a_busy_server_had_not_come_to_before_it_stopped_are_told_so() -> None:
    server = Server([], ["127.0.0.1:0"], options=ServerOptions(drain_s=1.0))
    with ThreadPoolExecutor(32) as threads, grpc.insecure_channel(f"127.0.0.1:{server.ports[0]}") as channel:
        check = health_pb2_grpc.HealthStub(channel).Check

        def status(_: int) -> grpc.StatusCode:
            call = check.future(health_pb2.HealthCheckRequest(), timeout=10)
            return call.code()  # type: ignore[no-any-return]  # untyped stubs

        async with server.serving():
            await asyncio.to_thread(status, 0)
            calls = [threads.submit(status, number) for number in range(32)]
            time.sleep(0.2)
        assert {call.result() for call in calls} <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}


async def _end_when_told(watch: Any, release: asyncio.Event) -> int:
    """Let the held call end only after the watcher was told that the server stops."""
    status = (await watch.read()).status
    watch.cancel()
    release.set()
    return int(status)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_the_services_in_both_versions(version: str) -> None:
    async with serving(accepted) as channel:
        call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        answers = call(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=10)
        (answer,) = [answer async for answer in answers]
        names = {service.name for service in answer.list_services_response.service}
    assert {MODELS, "grpc.health.v1.Health", "grpc.channelz.v1.Channelz"} <= names


async def test_a_port_in_use_is_refused_by_name() -> None:
    first = Server([], ["127.0.0.1:0"], options=ServerOptions())
    async with first.serving():
        with pytest.raises(errors.FailedPrecondition, match=f"127.0.0.1:{first.ports[0]} is in use") as refusal:
            Server([], [f"127.0.0.1:{first.ports[0]}"], options=ServerOptions())
    assert refusal.value.reason == "PORT_IN_USE"
