"""A server killed in the middle of logging: what was acknowledged is there, and every message whole or absent."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import grpc

from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from tests.integration.experiments.served import Served, calling, message, messages, serving

SIZE = 100
STARTED_S = 60


async def serve(folder: Path) -> tuple[Process, int]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.experiments.served", str(folder), stdout=PIPE
    )
    assert child.stdout is not None
    return child, int(await asyncio.wait_for(child.stdout.readline(), STARTED_S))


async def kill_in_the_middle(child: Process, served: Served, run_id: str, first: int) -> None:
    """Kill the server while a stream is under way, after some of its messages."""
    call = served.tracking.LogMetrics()
    try:
        for number in range(40):
            await call.write(message(run_id, first + number * SIZE, SIZE))
            if number == 25:
                child.kill()
        await call.done_writing()
        await call
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return
    raise AssertionError("the stream outlived its server")


async def test_what_was_acknowledged_outlives_a_kill_and_messages_are_whole(tmp_path: Path) -> None:
    child, port = await serve(tmp_path)
    acknowledged = 20 * SIZE
    try:
        async with calling(port) as served:
            experiment = (await served.tracking.CreateExperiment(pb.CreateExperimentRequest(name="kill"))).experiment
            request = pb.CreateRunRequest(experiment_id=experiment.id)
            run_id = (await served.tracking.CreateRun(request)).run.id
            answer = await served.tracking.LogMetrics(messages(run_id, 20, size=SIZE))
            assert answer.stored_points == acknowledged
            await kill_in_the_middle(child, served, run_id, acknowledged)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
    async with serving(tmp_path) as port, calling(port) as served:
        summary = (await served.tracking.GetRun(pb.GetRunRequest(run_id=run_id))).run.metrics["loss"]
        assert summary.count >= acknowledged
        assert summary.count % SIZE == 0
        history = served.tracking.StreamMetricHistory(pb.StreamMetricHistoryRequest(run_id=run_id, metric="loss"))
        steps = [step async for part in history for step in part.points.steps]
        assert steps == list(range(summary.count))
        again = await served.tracking.LogMetrics(messages(run_id, 60, size=SIZE))
        assert (again.stored_points, again.repeated_points) == (60 * SIZE - summary.count, summary.count)
