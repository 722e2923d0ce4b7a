"""The conversations of a job's processes with their job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import grpc

from synapsenet.errors import InvalidArgument
from synapsenet.training.live_job import LiveJob
from synapsenet.training.model import Job
from synapsenet.training.options import TrainingOptions
from synapsenet.training.ports import Processes
from synapsenet.training.service import Training
from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import parameter_stream_pb2 as stream_pb
from synapsenet_api.training.v1 import training_control_service_pb2 as pb
from synapsenet_api.training.v1.training_control_service_pb2_grpc import TrainingControlServiceServicer
from synapsenet_servers.translate import training_jobs as translate
from synapsenet_servers.translate.parameter_stream import schema

Context = grpc.aio.ServicerContext[Any, Any]


class TrainingControlServicer(TrainingControlServiceServicer):
    """Hands the processes their assignments and their reports to the job."""

    def __init__(self, training: Training, processes: Processes, options: TrainingOptions) -> None:
        self._training = training
        self._processes = processes
        self._options = options

    async def AttachParameterServer(
        self, request_iterator: AsyncIterator[pb.AttachParameterServerRequest], context: Context
    ) -> AsyncIterator[pb.AttachParameterServerResponse]:
        live, _ = await self._attach(request_iterator)
        yield pb.AttachParameterServerResponse(assignment=self._assignment(live.job, live.token))
        async with _Reading(_read_server(live, request_iterator, self._options.lease_ttl_s)) as reading:
            await _first(reading, live.verdict)
        if live.verdict.done():
            yield pb.AttachParameterServerResponse(stop=pb.Stop(reason=live.verdict.result().reason))

    async def AttachWorker(
        self, request_iterator: AsyncIterator[pb.AttachWorkerRequest], context: Context
    ) -> AsyncIterator[pb.AttachWorkerResponse]:
        live, index = await self._attach(request_iterator)
        yield pb.AttachWorkerResponse(assignment=self._assignment(live.job, live.token))
        async with _Reading(_read_worker(live, index, request_iterator)) as reading:
            await _first(reading, live.verdict, live.endpoint)
            if live.endpoint.done():
                shard = stream_pb.ShardRange(endpoint=live.endpoint.result(), size_bytes=live.schema.result().size)
                yield pb.AttachWorkerResponse(parameter_servers=pb.ParameterServers(shards=[shard]))
            await _first(reading, live.verdict)
        if live.verdict.done():
            yield pb.AttachWorkerResponse(stop=pb.Stop(reason=live.verdict.result().reason))

    async def _attach(self, requests: AsyncIterator[Any]) -> tuple[LiveJob, int]:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("message") != "identity":
            raise InvalidArgument("IDENTITY_MISSING", field="identity", remedy="send it as the first message")
        identity = first.identity
        return self._training.attach(identity.job_id, identity.token), identity.index

    def _assignment(self, job: Job, token: str) -> pb.Assignment:
        return translate.assignment(
            job,
            factory=self._training.model_factory(job.spec),
            token=token,
            listen=self._processes.server_address(job.id),
            options=self._options,
        )


async def _read_server(live: LiveJob, requests: AsyncIterator[pb.AttachParameterServerRequest], lease_ttl_s: float) -> None:
    lease: float | None = None
    while (request := await _next_report(live, requests, lease)) is not None:
        kind = request.WhichOneof("message")
        if kind == "ready":
            live.server_ready(request.ready.endpoint, schema(request.ready.schema))
            lease = lease_ttl_s
        elif kind == "member" and request.member.state == job_pb2.WORKER_STATE_RUNNING:
            live.worker_joined(_index(request.member.worker_id))
        elif kind == "steps":
            losses = translate.losses(request.steps)
            live.made(losses, request.steps.rejected, request.steps.accepted)
            await live.record([losses, translate.learning_rates(request.steps)] if losses.steps else [])
        elif kind == "parameters":
            await live.upload(request.parameters.offset_bytes, request.parameters.data, last=request.parameters.last)
            lease = None if request.parameters.last else lease_ttl_s
        elif kind == "failure":
            live.end(failure=translate.failure(request.failure))


async def _next_report(
    live: LiveJob, requests: AsyncIterator[pb.AttachParameterServerRequest], lease: float | None
) -> pb.AttachParameterServerRequest | None:
    """The next message of a parameter server that reports within every lease, or None once it has said its last."""
    coming = asyncio.ensure_future(anext(requests, None))
    try:
        # In two halves: if this process itself stood still, the first is over at once and the second is the server's chance.
        for _ in range(2):
            await asyncio.wait({coming}, timeout=lease and lease / 2)
            if coming.done():
                return coming.result()
        live.server_silent(lease or 0.0)
        return None
    finally:
        coming.cancel()


async def _read_worker(live: LiveJob, index: int, requests: AsyncIterator[pb.AttachWorkerRequest]) -> None:
    async for request in requests:
        kind = request.WhichOneof("message")
        if kind == "loaded":
            live.worker_loaded(index, request.loaded.examples)
        elif kind == "evaluation":
            live.evaluated(translate.evaluation(request.evaluation))
            await live.record(translate.evaluation_points(request.evaluation))
        elif kind == "done":
            live.worker_done(index)
        elif kind == "failure":
            live.end(failure=translate.failure(request.failure))


class _Reading:
    """Reads a process's reports inside an `async with`; what goes wrong while reading is raised at its end."""

    def __init__(self, reports: Coroutine[Any, Any, None]) -> None:
        self._reports = reports

    async def __aenter__(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._reports)
        return self._task

    async def __aexit__(self, *error: object) -> None:
        if self._task.done():
            self._task.result()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def _first(*events: asyncio.Future[Any]) -> None:
    await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)


def _index(worker_id: str) -> int:
    return int(worker_id.rpartition("-")[2])
