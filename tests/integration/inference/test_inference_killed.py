"""Inference killed in the middle of a deployment: whatever was acknowledged stands, and nothing stays half done."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from synapsenet_api.inference.v1 import deployment_pb2
from synapsenet_api.inference.v1 import inference_service_pb2 as pb
from synapsenet_api.registry.v1 import version_pb2
from tests.integration.inference.conftest import Client
from tests.integration.inference.tensors import output, pixels, request, scores

ROOT = Path(__file__).resolve().parents[3]
SERVER = """
import asyncio, sys
from pathlib import Path
from tests.integration.inference.conftest import hosted

async def main():
    async with hosted(Path(sys.argv[1])) as port:
        print(port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def process(folder: Path) -> AsyncIterator[tuple[Client, subprocess.Popen[str]]]:
    """The roles in a process of their own, killed at the end."""
    command = [sys.executable, "-c", SERVER, str(folder)]
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'servers'}:{ROOT / 'clients'}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True, env=path) as server:
        try:
            assert server.stdout is not None
            port = await asyncio.to_thread(server.stdout.readline)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{int(port)}") as channel:
                yield Client(channel), server
        finally:
            server.kill()


async def settled(client: Client, version: version_pb2.Version) -> bool:
    """Whether the version serves, once nothing is on its way any more."""
    async with asyncio.timeout(30):
        while True:
            state = (await client.state(version)).state
            deployments = (await client.inference.ListDeployments(pb.ListDeploymentsRequest())).deployments
            states = {one.state for one in deployments}
            if state == version_pb2.VERSION_STATE_SERVING and states == {deployment_pb2.DEPLOYMENT_STATE_SERVING}:
                return True
            if state == version_pb2.VERSION_STATE_REGISTERED and not states:
                return False
            await asyncio.sleep(0.02)


async def predicted(client: Client, wish: pb.PredictRequest) -> pb.PredictResponse:
    """The prediction, once the model is back in memory."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await client.inference.Predict(wish)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("delay_ms", [0, 5, 15, 30])
async def test_a_deployment_killed_at_any_moment_is_whole_or_absent_after_the_restart(tmp_path: Path, delay_ms: int) -> None:
    async with process(tmp_path) as (client, server):
        version = await client.register()
        call = asyncio.ensure_future(client.deploy(version, "wish-1"))
        await asyncio.sleep(delay_ms / 1e3)
        server.kill()
        acknowledged = not isinstance((await asyncio.gather(call, return_exceptions=True))[0], BaseException)
    async with process(tmp_path) as (client, _):
        serves = await settled(client, version)
        assert serves or not acknowledged
        deployed = await client.deploy(version, "wish-1")
        assert deployed.deployment.state == deployment_pb2.DEPLOYMENT_STATE_SERVING
        assert await settled(client, version)
        array = pixels(3)
        answer = await predicted(client, request(array))
        assert output(answer.outputs, "scores").tobytes() == scores(array).tobytes()
