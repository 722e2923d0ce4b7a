"""The inference service over gRPC, with the real registry behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from synapsenet.testing.onnx_models import gathering_model
from synapsenet_api.inference.v1 import deployment_pb2, loaded_model_pb2, prediction_pb2, tensor_pb2
from synapsenet_api.inference.v1 import inference_service_pb2 as pb
from synapsenet_api.models.v1 import model_service_pb2 as models_pb
from synapsenet_api.registry.v1 import registry_service_pb2 as registry_pb
from synapsenet_api.registry.v1 import version_pb2
from tests.integration.inference.conftest import Client, Serving
from tests.integration.inference.tensors import output, pixels, request, scores, to_wire


def reason(error: grpc.aio.AioRpcError) -> str:
    info = ErrorInfo()
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what from_call reads of a call
    assert status is not None
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def refused(call: object) -> tuple[grpc.StatusCode, str, str]:
    """How `call` was refused: code, reason, sentence."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call  # type: ignore[misc]  # any call
    return refusal.value.code(), reason(refusal.value), refusal.value.details() or ""


async def test_a_deployed_model_predicts_what_whole_numbers_give(client: Client) -> None:
    version = await client.register()
    deployed = await client.deploy(version)
    assert deployed.deployment.state == deployment_pb2.DEPLOYMENT_STATE_SERVING
    assert deployed.deployment.traffic_fraction == 1.0
    assert (await client.state(version)).state == version_pb2.VERSION_STATE_SERVING
    array = pixels(5)
    answer = await client.inference.Predict(request(array), timeout=10)
    assert (answer.model.model_name, answer.model.version) == ("exact", 1)
    assert output(answer.outputs, "scores").tobytes() == scores(array).tobytes()
    assert output(answer.outputs, "label").tolist() == scores(array).argmax(axis=1).tolist()
    only = await client.inference.Predict(request(array, output_names=["label"]), timeout=10)
    assert [one.name for one in only.outputs] == ["label"]


async def test_requests_without_a_version_go_to_the_one_deployed_last_and_an_alias_is_resolved(client: Client) -> None:
    first, second = await client.register(), await client.register()
    await client.deploy(first)
    await client.deploy(second)
    await client.registry.SetAlias(registry_pb.SetAliasRequest(model_id="exact", alias="champion", version=1))

    async def answering(**selection: object) -> int:
        selector = prediction_pb2.ModelSelector(model_id="exact", **selection)  # type: ignore[arg-type]  # version or alias
        answer = await client.inference.Predict(request(pixels(1), selector=selector), timeout=10)
        return answer.model.version

    assert await answering() == 2
    assert await answering(version=1) == 1
    assert await answering(alias="champion") == 1
    await client.undeploy(second)
    assert await answering() == 1
    assert (await client.state(second)).state == version_pb2.VERSION_STATE_REGISTERED


async def test_what_cannot_be_predicted_is_refused_by_name(client: Client) -> None:
    version = await client.register()
    await client.deploy(version)
    await client.models.CreateModel(models_pb.CreateModelRequest(name="idle"))

    async def refusal(**fields: object) -> tuple[grpc.StatusCode, str, str]:
        fields = {"selector": prediction_pb2.ModelSelector(model_id="exact")} | fields
        return await refused(client.inference.Predict(pb.PredictRequest(**fields), timeout=10))  # type: ignore[arg-type]

    good = to_wire("pixels", pixels(2))
    unknown = prediction_pb2.ModelSelector(model_id="nobody")
    assert (await refusal(selector=unknown, inputs=[good]))[0] is grpc.StatusCode.NOT_FOUND
    absent = prediction_pb2.ModelSelector(model_id="exact", version=7)
    assert (await refusal(selector=absent, inputs=[good]))[0] is grpc.StatusCode.NOT_FOUND
    idle = prediction_pb2.ModelSelector(model_id="idle")
    assert (await refusal(selector=idle, inputs=[good]))[:2] == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "MODEL_NOT_DEPLOYED",
    )
    short = tensor_pb2.Tensor(name="pixels", element_type=good.element_type, shape=[2, 8], data=good.data[:-1])
    code, why, sentence = await refusal(inputs=[short])
    assert (code, why) == (grpc.StatusCode.INVALID_ARGUMENT, "TENSOR_CONTENTS")
    assert "'pixels' has 63 bytes" in sentence
    assert "exactly 64" in sentence
    assert (await refusal(inputs=[good], priority=3))[:2] == (grpc.StatusCode.UNIMPLEMENTED, "NOT_YET_AVAILABLE")
    assert (await refusal())[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_MISSING")


async def test_a_repeated_deployment_returns_its_first_answer_and_another_one_is_refused(client: Client) -> None:
    version = await client.register()
    first = await client.deploy(version, "wish-1")
    assert await client.deploy(version, "wish-1") == first
    assert (await refused(client.deploy(version)))[:2] == (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_DEPLOYED")
    gone = await client.undeploy(version, "wish-2")
    assert await client.undeploy(version, "wish-2") == gone
    assert (await refused(client.undeploy(version)))[:2] == (grpc.StatusCode.NOT_FOUND, "DEPLOYMENT_UNKNOWN")


async def test_a_stream_answers_every_item_by_itself_after_the_caller_has_closed_its_half(client: Client) -> None:
    await client.deploy(await client.register())

    async def messages() -> AsyncIterator[pb.PredictStreamRequest]:
        selector = prediction_pb2.ModelSelector(model_id="exact")
        yield pb.PredictStreamRequest(start=prediction_pb2.PredictStreamStart(selector=selector, wanted_credits=3))
        for number in range(20):
            rows = to_wire("pixels" if number != 7 else "pixel", pixels(1 + number % 4, seed=number))
            yield pb.PredictStreamRequest(item=prediction_pb2.PredictStreamItem(id=f"item-{number}", inputs=[rows]))

    answers = [answer async for answer in client.inference.PredictStream(messages(), timeout=30)]
    assert answers[0].started.credits == 3
    results = {answer.result.id: answer.result for answer in answers[1:]}
    assert len(results) == len(answers) - 1 == 20
    assert results["item-7"].status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "no input 'pixel'" in results["item-7"].status.message
    for number in set(range(20)) - {7}:
        result = results[f"item-{number}"]
        assert result.status.code == 0
        expected = scores(pixels(1 + number % 4, seed=number))
        assert output(result.outputs, "scores").tobytes() == expected.tobytes()


async def test_predictions_have_the_same_bits_whoever_shares_their_batch(client: Client) -> None:
    await client.deploy(await client.register())
    arrays = [pixels(1 + seed % 5, seed=seed) for seed in range(60)]
    answers = await asyncio.gather(*(client.inference.Predict(request(array), timeout=20) for array in arrays))
    assert any(answer.batch_rows > len(array) for answer, array in zip(answers, arrays, strict=True))
    for answer, array in zip(answers, arrays, strict=True):
        assert output(answer.outputs, "scores").tobytes() == scores(array).tobytes()


async def test_a_stream_that_is_given_up_leaves_nothing_behind(client: Client) -> None:
    await client.deploy(await client.register())
    reached = asyncio.Event()

    async def messages() -> AsyncIterator[pb.PredictStreamRequest]:
        selector = prediction_pb2.ModelSelector(model_id="exact")
        yield pb.PredictStreamRequest(start=prediction_pb2.PredictStreamStart(selector=selector))
        for number in range(10_000):
            item = prediction_pb2.PredictStreamItem(id=str(number), inputs=[to_wire("pixels", pixels(64))])
            yield pb.PredictStreamRequest(item=item)
            if number == 100:
                reached.set()

    call = client.inference.PredictStream(messages(), timeout=30)
    await call.read()
    taking = asyncio.ensure_future(_taken(call))
    await reached.wait()
    call.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    async with asyncio.timeout(10):
        while (model := await _ready(client)).leases or model.batcher.queued_rows or model.batcher.running_batches:
            await asyncio.sleep(0.02)


async def test_one_bad_request_in_a_batch_fails_alone(client: Client) -> None:
    await client.deploy(await client.register("picker", gathering_model()))
    selector = prediction_pb2.ModelSelector(model_id="picker")

    def places(*numbers: int) -> pb.PredictRequest:
        array = np.array(numbers, np.int64)
        return pb.PredictRequest(selector=selector, inputs=[to_wire("places", array, tensor_pb2.ELEMENT_TYPE_INT64)])

    calls = [client.inference.Predict(places(number), timeout=10) for number in (1, 2, 99, 3)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[2], grpc.aio.AioRpcError)
    assert reason(answers[2]) == "MODEL_FAILED"
    good = [answer for answer in answers if isinstance(answer, pb.PredictResponse)]
    assert [output(answer.outputs, "picked").tolist() for answer in good] == [[1.0], [2.0], [3.0]]


async def test_what_was_deployed_is_restored_after_a_restart_and_so_is_its_answer_to_a_repeated_request(
    serving: Serving,
) -> None:
    async with serving() as client:
        version = await client.register()
        first = await client.deploy(version, "wish-1")
    async with serving() as client:
        async with asyncio.timeout(20):
            loaded = await _ready(client)
        assert loaded.inputs[0].name == "pixels"
        array = pixels(4)
        answer = await client.inference.Predict(request(array), timeout=10)
        assert output(answer.outputs, "scores").tobytes() == scores(array).tobytes()
        assert await client.deploy(version, "wish-1") == first


async def test_changes_of_deployments_are_watched_from_any_position(client: Client) -> None:
    version = await client.register()
    await client.deploy(version)
    await client.undeploy(version)
    watch = client.inference.WatchDeployments(pb.WatchDeploymentsRequest(), timeout=10)
    seen = []
    async for answer in watch:
        seen.append(answer.event)
        if len(seen) == 2:
            break
    watch.cancel()
    assert [(event.type, event.sequence) for event in seen] == [("ModelDeployed", 1), ("ModelUndeployed", 2)]
    assert seen[0].deployment.model_name == "exact"


async def test_deployments_and_loaded_models_are_listed_in_pages(client: Client) -> None:
    for name in ("one", "two", "three"):
        await client.deploy(await client.register(name))
    first = await client.inference.ListDeployments(pb.ListDeploymentsRequest(page_size=2))
    rest = await client.inference.ListDeployments(pb.ListDeploymentsRequest(page_size=2, page_token=first.next_page_token))
    assert rest.next_page_token == ""
    names = [one.model_name for one in (*first.deployments, *rest.deployments)]
    assert sorted(names) == ["one", "three", "two"]
    start = await client.inference.ListLoadedModels(pb.ListLoadedModelsRequest(page_size=2))
    end = await client.inference.ListLoadedModels(pb.ListLoadedModelsRequest(page_size=2, page_token=start.next_page_token))
    assert [one.model_name for one in (*start.models, *end.models)] == names
    assert {one.state for one in start.models} == {loaded_model_pb2.RESIDENCY_STATE_READY}
    assert start.models[0].runtime == "onnxruntime"


async def _taken(call: object) -> None:
    async for _ in call:  # type: ignore[attr-defined]  # a streaming call
        pass


async def _ready(client: Client) -> loaded_model_pb2.LoadedModel:
    """The one loaded model, once it is ready."""
    while True:
        models = (await client.inference.ListLoadedModels(pb.ListLoadedModelsRequest())).models
        if models and models[0].state == loaded_model_pb2.RESIDENCY_STATE_READY:
            return models[0]
        await asyncio.sleep(0.02)
