"""A host's mesh as it runs: a real Envoy fed from a registry, and replicas that are processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from synapsenet.platform.membership import Instance
from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from synapsenet_servers.bootstrap import mesh
from synapsenet_servers.bootstrap.platform import open_platform
from synapsenet_servers.bootstrap.role import Platform
from synapsenet_servers.config import Config
from synapsenet_servers.mesh.registration import group

ROLE = "experiments"
STARTED_WITHIN_S = 30.0
TTL_S = 60.0
ROOT = Path(__file__).parents[3]


@dataclass(slots=True, kw_only=True)
class Replica:
    """A running replica and its registration."""

    name: str
    address: str
    process: subprocess.Popen[str]
    registered: AsyncExitStack

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def end(self) -> None:
        await self.registered.aclose()
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()


@dataclass(slots=True, kw_only=True)
class SmallMesh:
    """The mesh of one host.

    Attributes:
        edge: `host:port`.
        socket: for calls between services.
        endpoints: the files that Envoy watches.
        envoy: its process id.
    """

    platform: Platform
    edge: str
    socket: Path
    endpoints: Path
    stack: AsyncExitStack
    channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)

    @property
    def envoy(self) -> int | None:
        return next((child.pid for child in self.platform.supervisor.children() if child.name == "envoy"), None)

    async def replica(self, name: str, *, seconds: float = 0.0, zone: str = "", address: str = "127.0.0.1:0") -> Replica:
        """One more replica, once it serves and is registered."""
        argv = [sys.executable, "-m", "tests.integration.mesh.replica", address, name, str(seconds)]
        paths = os.pathsep.join(str(ROOT / part) for part in ("", "servers", "clients"))
        process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths})
        assert process.stdout is not None
        port = (await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), STARTED_WITHIN_S)).strip()
        bound = address if address.startswith("unix:") else f"127.0.0.1:{port}"
        registered = AsyncExitStack()
        instance = Instance(group=group(ROLE), id=bound.replace("/", "_"), address=bound, zone=zone)
        await registered.enter_async_context(self.platform.membership.join(instance, ttl=TTL_S))
        replica = Replica(name=name, address=bound, process=process, registered=registered)
        self.stack.push_async_callback(replica.end)
        return replica

    def channel(self, address: str = "") -> grpc.aio.Channel:
        """To the mesh's socket, or another address; without retries of its own, so that what is seen is Envoy's doing."""
        address = address or f"unix:{self.socket}"
        if address not in self.channels:
            options = [
                ("grpc.enable_retries", 0),
                ("grpc.max_reconnect_backoff_ms", 200),
                ("grpc.initial_reconnect_backoff_ms", 50),
            ]
            self.channels[address] = grpc.aio.insecure_channel(address, options=options)
        return self.channels[address]

    async def ask(self, address: str = "", *, timeout: float = 5.0, **settings: Any) -> str:
        """The name of the replica that answered a call through the mesh's socket, or through `address`."""
        stub = ExperimentServiceStub(self.channel(address))
        answer = await stub.GetExperiment(pb.GetExperimentRequest(experiment_id="e"), timeout=timeout, **settings)
        return answer.experiment.name

    async def seen(self, address: str = "", *, timeout: float = 5.0, **settings: Any) -> dict[str, Any]:
        """What the replica saw of such a call."""
        stub = ExperimentServiceStub(self.channel(address))
        answer = await stub.GetExperiment(pb.GetExperimentRequest(experiment_id="e"), timeout=timeout, **settings)
        found: dict[str, Any] = json.loads(answer.experiment.description)
        return found

    async def shares(self, calls: int) -> Counter[str]:
        """Who answered how many of `calls`, one after the other."""
        return Counter([await self.ask() for _ in range(calls)])

    async def until_answering(self, *names: str) -> None:
        """Return once exactly these have answered the last calls."""
        async with asyncio.timeout(STARTED_WITHIN_S):
            while True:
                try:
                    if set(await self.shares(8 * len(names))) == set(names):
                        return
                except grpc.aio.AioRpcError:
                    pass
                await asyncio.sleep(0.02)


@asynccontextmanager
async def small_mesh(folder: Path, *, edge: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[SmallMesh]:
    """The mesh inside an `async with`; `options` are those of the section `mesh`."""
    socket = folder / "m" / "mesh.sock"
    sections: Any = {"mesh": {"socket": str(socket), "look_s": 0.2, **options}, "edge": {"port": 0, **(edge or {})}}
    async with open_platform(Config(**sections), data=folder / "data") as platform, AsyncExitStack() as stack:
        role = await mesh.assemble(platform, stack)
        tasks = [asyncio.ensure_future(task.run()) for task in role.tasks]
        address = role.told[0].removeprefix("edge ")
        endpoints = platform.data / "mesh" / "endpoints"
        made = SmallMesh(platform=platform, edge=address, socket=socket, endpoints=endpoints, stack=stack)
        try:
            yield made
        finally:
            for channel in made.channels.values():
                await channel.close(None)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
