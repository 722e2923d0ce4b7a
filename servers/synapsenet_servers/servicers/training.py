"""The training service over gRPC: translate, call, translate back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from synapsenet.training.service import Training
from synapsenet_api.training.v1 import training_service_pb2 as pb
from synapsenet_api.training.v1.training_service_pb2_grpc import TrainingServiceServicer
from synapsenet_servers.translate.pages import page_request
from synapsenet_servers.translate.requests import request as identify
from synapsenet_servers.translate.training import spec
from synapsenet_servers.translate.training_jobs import job_message, job_states, model_message, worker_message

Context = grpc.aio.ServicerContext[Any, Any]


class TrainingServicer(TrainingServiceServicer):
    """Answers what this release does; the guard answers the rest."""

    def __init__(self, training: Training) -> None:
        self._training = training

    async def CreateJob(self, request: pb.CreateJobRequest, context: Context) -> pb.CreateJobResponse:
        job = await self._training.create(spec(request.spec), identify(request))
        return pb.CreateJobResponse(job=job_message(job))

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        return pb.GetJobResponse(job=job_message(await self._training.get(request.job_id)))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        page = await self._training.list(
            page_request(request), states=job_states(request.states), experiment_id=request.experiment_id
        )
        return pb.ListJobsResponse(jobs=map(job_message, page.items), next_page_token=page.next_token)

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.CancelJobResponse:
        return pb.CancelJobResponse(job=job_message(await self._training.cancel(request.job_id)))

    async def WatchJob(self, request: pb.WatchJobRequest, context: Context) -> AsyncIterator[pb.WatchJobResponse]:
        async for job in self._training.watch(request.job_id):
            yield pb.WatchJobResponse(job=job_message(job))

    async def ListWorkers(self, request: pb.ListWorkersRequest, context: Context) -> pb.ListWorkersResponse:
        page = await self._training.workers(request.job_id, page_request(request))
        return pb.ListWorkersResponse(workers=map(worker_message, page.items), next_page_token=page.next_token)

    async def DownloadParameters(
        self, request: pb.DownloadParametersRequest, context: Context
    ) -> AsyncIterator[pb.DownloadParametersResponse]:
        artifact, chunks = await self._training.parameters(request.job_id)
        yield pb.DownloadParametersResponse(sha256=artifact.sha256, size_bytes=artifact.size)
        async for data in chunks:
            yield pb.DownloadParametersResponse(data=data)

    async def ListTrainableModels(
        self, request: pb.ListTrainableModelsRequest, context: Context
    ) -> pb.ListTrainableModelsResponse:
        page = self._training.models(page_request(request))
        return pb.ListTrainableModelsResponse(models=map(model_message, page.items), next_page_token=page.next_token)
