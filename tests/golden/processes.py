"""Processes of training jobs that do what a recording says, when it says so.

They attach to their job over TrainingControlService exactly as the real ones do, but in this process, with process ids that
are always the same, and with parameters that nobody computed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf import json_format

from synapsenet.clock import Clock
from synapsenet.training.model import worker_id
from synapsenet.training.ports import Ended, Launch, Process, Processes, ProcessKind
from synapsenet.training.schema import FLOAT32, ParameterSchema
from synapsenet.training.trainable import make
from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import training_control_service_pb2 as pb
from synapsenet_api.training.v1 import training_service_pb2 as service_pb
from synapsenet_api.training.v1.training_control_service_pb2_grpc import TrainingControlServiceStub
from synapsenet_api.training.v1.training_service_pb2_grpc import TrainingServiceStub
from synapsenet_servers.translate.parameter_stream import schema_message

if TYPE_CHECKING:  # the stubs name the asyncio kind for type checkers alone
    from synapsenet_api.training.v1.training_service_pb2_grpc import TrainingServiceAsyncStub

_PATIENCE_S = 20.0
_FIRST_PID = 1_001
_EXAMPLES = 100
_LOSS = 4.0
_MEASURED = pb.Evaluation(version=4, loss=0.25, accuracy=0.9375, examples=32)


class ScriptedProcess(Process):
    """One that was asked for; it ends when its job tells it to, or when the script kills it."""

    def __init__(self, launch: Launch, pid: int) -> None:
        self.launch = launch
        self.pid = pid
        self.assignment = pb.Assignment()
        self._stream: Any = None
        self._reading: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    async def attach(self, control: Any) -> None:
        """Say who it is, and hear what to do."""
        launch = self.launch
        identity = pb.Identity(job_id=launch.job_id, token=launch.token, index=launch.index, pid=self.pid)
        server = launch.kind is ProcessKind.PARAMETER_SERVER
        self._wrap: Any = pb.AttachParameterServerRequest if server else pb.AttachWorkerRequest
        self._stream = (control.AttachParameterServer if server else control.AttachWorker)()
        await self.say(identity=identity)
        self.assignment = (await self._stream.read()).assignment
        self._reading = asyncio.create_task(self._read())

    async def say(self, **report: Any) -> None:
        await self._stream.write(self._wrap(**report))

    def die(self) -> None:
        """As by SIGKILL."""
        self._end(Ended(clean=False, sentence="it was killed by SIGKILL"))

    async def wait(self) -> Ended:
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float) -> Ended:
        if self._reading is not None and not self._ended.done():
            await asyncio.wait([self._ended], timeout=_PATIENCE_S)  # it is told to stop, so that its end is always the same
        self._end(Ended(clean=False, sentence="it was stopped"))
        return await self._ended

    async def _read(self) -> None:
        """Go on until the job says stop: a job that was finished ends well."""
        while answer := await self._stream.read():
            if answer.WhichOneof("message") == "stop":
                clean = answer.stop.reason == "FINISHED"
                self._end(Ended(clean=clean, sentence=f"it ended with code {0 if clean else 1}"))

    def _end(self, ended: Ended) -> None:
        if not self._ended.done():
            self._ended.set_result(ended)


class ScriptedProcesses(Processes):
    """Starts them, and lets all of one job do the next thing.

    Each act returns once the training service shows its consequence, so that whatever is asked next has one answer.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pids = itertools.count(_FIRST_PID)
        self._started: dict[str, list[ScriptedProcess]] = {}
        self._control: Any = None
        self._training: TrainingServiceAsyncStub | None = None

    def connect(self, channel: Any) -> None:
        """The platform, over which they attach."""
        self._control = TrainingControlServiceStub(channel)
        self._training = TrainingServiceStub(channel)

    async def start(self, launch: Launch) -> Process:
        process = ScriptedProcess(launch, next(self._pids))
        self._started.setdefault(launch.job_id, []).append(process)
        return process

    def server_address(self, job_id: str) -> str:
        return f"unix:/recorded/{job_id}.sock"

    async def play(self, act: str, job_id: str) -> None:
        """Carry out one of: start, join, step, measure, finish, fail, die, end (wait for its end)."""
        acts: dict[str, Callable[[str], Any]] = {
            "start": self._start,
            "join": self._join,
            "step": self._step,
            "measure": self._measure,
            "finish": self._finish,
            "fail": self._fail,
            "die": self._die,
            "end": self._end,
        }
        await acts[act](job_id)

    async def _start(self, job_id: str) -> None:
        job = (await self._job(job_id)).spec
        count = max(1, job.workers.count)
        await self._until(lambda: self._all_started(job_id, 1 + count))
        server, *workers = self._started[job_id]
        await server.attach(self._control)
        endpoint = self.server_address(job_id)
        await server.say(ready=pb.ServerReady(endpoint=endpoint, schema=schema_message(_schema(server))))
        for worker in workers:
            await worker.attach(self._control)
            await worker.say(loaded=pb.DataLoaded(examples=_EXAMPLES + worker.launch.index))
        await self._until(lambda: self._all_loaded(job_id))

    async def _join(self, job_id: str) -> None:
        server, *workers = self._started[job_id]
        for worker in workers:
            who = worker_id(worker.launch.index)
            member = pb.MemberChange(worker_id=who, state=job_pb2.WORKER_STATE_RUNNING, incarnation=1)
            await server.say(member=member)
        await self._until(lambda: self._shows(job_id, lambda job: job.state == job_pb2.JOB_STATE_RUNNING))

    async def _step(self, job_id: str) -> None:
        """All steps but for none; a step halves the loss."""
        server, *workers = self._started[job_id]
        steps = server.assignment.spec.steps
        report = pb.StepReport(
            versions=range(1, steps + 1),
            losses=[_LOSS / 2**step for step in range(steps)],
            learning_rates=[server.assignment.spec.optimizer.learning_rate] * steps,
            times_us=[self._now_us()] * steps,
            rejected=1,
            accepted=[steps] * len(workers),
        )
        await server.say(steps=report)
        await self._until(lambda: self._shows(job_id, lambda job: job.progress.step == steps))

    async def _measure(self, job_id: str) -> None:
        evaluation = pb.Evaluation()
        evaluation.CopyFrom(_MEASURED)
        evaluation.time_us = self._now_us()
        await self._started[job_id][1].say(evaluation=evaluation)
        await self._until(lambda: self._shows(job_id, lambda job: job.progress.HasField("accuracy")))

    async def _finish(self, job_id: str) -> None:
        server, *workers = self._started[job_id]
        for worker in workers:
            await worker.say(done=pb.WorkerDone(version=worker.assignment.spec.steps))
        data = (np.arange(_schema(server).count, dtype=FLOAT32) / 8 - 1).astype(FLOAT32).tobytes()
        await server.say(parameters=pb.ParametersUpload(offset_bytes=0, data=data[:40]))
        await server.say(parameters=pb.ParametersUpload(offset_bytes=40, last=True, data=data[40:]))
        await self._end(job_id)

    async def _fail(self, job_id: str) -> None:
        failure = pb.ProcessFailure(reason="DATA_UNUSABLE", message="a column is missing", worker_id="worker-0")
        await self._started[job_id][1].say(failure=failure)
        await self._end(job_id)

    async def _die(self, job_id: str) -> None:
        self._started[job_id][2].die()
        await self._end(job_id)

    async def _end(self, job_id: str) -> None:
        await self._until(lambda: self._shows(job_id, lambda job: job.HasField("end_time")))

    async def _all_started(self, job_id: str, count: int) -> bool:
        return len(self._started.get(job_id, ())) == count

    async def _all_loaded(self, job_id: str) -> bool:
        assert self._training is not None
        answer = await self._training.ListWorkers(service_pb.ListWorkersRequest(job_id=job_id), timeout=_PATIENCE_S)
        return all(worker.examples and worker.pid for worker in answer.workers)

    async def _shows(self, job_id: str, found: Callable[[job_pb2.Job], bool]) -> bool:
        return found(await self._job(job_id))

    async def _job(self, job_id: str) -> job_pb2.Job:
        assert self._training is not None
        return (await self._training.GetJob(service_pb.GetJobRequest(job_id=job_id), timeout=_PATIENCE_S)).job

    async def _until(self, shown: Callable[[], Any]) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while not await shown():
                await asyncio.sleep(0.005)

    def _now_us(self) -> int:
        return round(self._clock.now().timestamp() * 1e6)


def _schema(server: ScriptedProcess) -> ParameterSchema:
    assignment = server.assignment
    return make(assignment.model_factory, json_format.MessageToDict(assignment.spec.model.arguments)).schema
