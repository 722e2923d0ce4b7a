"""One replica of a role as a process of its own: it says who it is, what it was asked with, and is as slow as it is told.

python -m tests.integration.mesh.replica ADDRESS NAME [SECONDS]
"""
# mypy: disable-error-code="override"
# The generated signatures are those of both stacks, ours is asyncio's.

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1 import experiment_service_pb2_grpc as rpc
from synapsenet_servers.bootstrap.role import Service
from synapsenet_servers.server import Server
from synapsenet_servers.server_options import ServerOptions

SERVICES = (
    "synapsenet.experiments.v1.ExperimentService",
    "synapsenet.experiments.v1.AnalysisService",
)


class Replica(rpc.ExperimentServiceServicer):
    """Answers with its name; the description holds what it saw of the call."""

    def __init__(self, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds

    async def GetExperiment(self, request: pb.GetExperimentRequest, context: Any) -> pb.GetExperimentResponse:
        await asyncio.sleep(self._seconds)
        answer = pb.GetExperimentResponse()
        answer.experiment.name = self._name
        seen: dict[str, Any] = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        answer.experiment.description = json.dumps(seen | {"time_remaining": context.time_remaining()})
        return answer


async def main(address: str, name: str, seconds: float) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    servicer = Replica(name, seconds)  # type: ignore[abstract]  # it has what the tests call
    service = Service(name=SERVICES[0], servicer=servicer, add=rpc.add_ExperimentServiceServicer_to_server)
    server = Server([service], [address], options=ServerOptions(drain_s=2.0), vouched=[SERVICES[1]])
    async with server.serving():
        await server.say(SERVICES[1], True)
        sys.stdout.write(f"{server.ports[0]}\n")
        sys.stdout.flush()
        await asked.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0))
