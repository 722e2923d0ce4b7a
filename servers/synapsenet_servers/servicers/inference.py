"""The platform's own inference service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from synapsenet.inference.deploying import Deployer
from synapsenet.inference.service import Inference
from synapsenet_api.inference.v1 import inference_service_pb2 as pb
from synapsenet_api.inference.v1.inference_service_pb2_grpc import InferenceServiceServicer
from synapsenet_servers.translate import deployments, predictions
from synapsenet_servers.translate.pages import page_request
from synapsenet_servers.translate.requests import request as identified
from synapsenet_servers.translate.tensors import tensor

Context = Any


class InferenceServicer(InferenceServiceServicer):
    """Translates, calls the service, translates back."""

    def __init__(self, inference: Inference, deployer: Deployer) -> None:
        self._inference = inference
        self._deployer = deployer

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        prediction = await self._inference.predict(
            predictions.selector(request.selector, field="selector"),
            [tensor(given) for given in request.inputs],
            request.output_names,
            timeout=context.time_remaining(),
            priority=request.priority,
        )
        return predictions.to_prediction(prediction)

    async def PredictStream(
        self, requests: AsyncIterator[pb.PredictStreamRequest], context: Context
    ) -> AsyncIterator[pb.PredictStreamResponse]:
        start = await predictions.stream_start(requests)
        stream = await self._inference.open_stream(
            predictions.selector(start.selector, field="start.selector"),
            start.output_names,
            wanted_credits=start.wanted_credits,
            ordered=start.ordered,
            priority=start.priority,
        )
        yield predictions.to_started(stream.deployment, stream.credits)
        async for result in stream.answers(predictions.stream_items(requests)):
            yield predictions.to_result(result)

    async def DeployModel(self, request: pb.DeployModelRequest, context: Context) -> pb.DeployModelResponse:
        deployment = await self._deployer.deploy(deployments.deployment_wish(request), identified(request))
        share = self._inference.share(deployment)
        return pb.DeployModelResponse(deployment=deployments.to_deployment(deployment, share=share))

    async def UndeployModel(self, request: pb.UndeployModelRequest, context: Context) -> pb.UndeployModelResponse:
        version = deployments.version_number(request.version, field="version")
        deployment = await self._deployer.undeploy(request.model_id, version, identified(request))
        return pb.UndeployModelResponse(deployment=deployments.to_deployment(deployment, share=0.0))

    async def GetDeployment(self, request: pb.GetDeploymentRequest, context: Context) -> pb.GetDeploymentResponse:
        deployment = self._inference.deployment(request.model_id, request.version)
        share = self._inference.share(deployment)
        return pb.GetDeploymentResponse(deployment=deployments.to_deployment(deployment, share=share))

    async def ListDeployments(self, request: pb.ListDeploymentsRequest, context: Context) -> pb.ListDeploymentsResponse:
        page = await self._inference.deployments(page_request(request), model_id=request.model_id)
        return pb.ListDeploymentsResponse(
            deployments=[deployments.to_deployment(one, share=self._inference.share(one)) for one in page.items],
            next_page_token=page.next_token,
        )

    async def WatchDeployments(
        self, request: pb.WatchDeploymentsRequest, context: Context
    ) -> AsyncIterator[pb.WatchDeploymentsResponse]:
        async for event in self._inference.watch(after=request.after_position):
            yield pb.WatchDeploymentsResponse(event=deployments.to_event(event))

    async def ListLoadedModels(self, request: pb.ListLoadedModelsRequest, context: Context) -> pb.ListLoadedModelsResponse:
        page = self._inference.loaded(page_request(request))
        return pb.ListLoadedModelsResponse(
            models=[deployments.to_loaded_model(*one) for one in page.items], next_page_token=page.next_token
        )
