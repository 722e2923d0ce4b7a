"""Training, put together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from synapsenet.adapters.sql.training import SqlTrainingWork, metadata
from synapsenet.training.changes import Changes
from synapsenet.training.execution import Surroundings
from synapsenet.training.ports import Processes
from synapsenet.training.runner import JobRunner
from synapsenet.training.service import Training
from synapsenet_api.training.v1.training_control_service_pb2_grpc import add_TrainingControlServiceServicer_to_server
from synapsenet_api.training.v1.training_service_pb2_grpc import add_TrainingServiceServicer_to_server
from synapsenet_servers.bootstrap.role import Platform, Role, Service, Task
from synapsenet_servers.peers.training import GrpcRunLog
from synapsenet_servers.peers.training_lifecycle import GrpcVersionLife
from synapsenet_servers.roles.processes import LocalProcesses
from synapsenet_servers.servicers.training import TrainingServicer
from synapsenet_servers.servicers.training_control import TrainingControlServicer
from synapsenet_servers.telemetry.child_logs import log_variables


async def assemble(platform: Platform, stack: AsyncExitStack, *, processes: Processes | None = None) -> Role:
    """The role `training`, its records and its processes' logs in `data/training`; by default its processes are local."""
    options = platform.config.training
    folder = platform.data / "training"
    work = await stack.enter_async_context(platform.records("training", metadata=metadata, unit=SqlTrainingWork))
    if processes is None:
        processes = LocalProcesses(
            platform.supervisor,
            mesh=platform.mesh,
            run=platform.run,
            logs=folder / "logs",
            variables=log_variables(platform.config.telemetry),
        )
    surroundings = Surroundings(
        work=work,
        processes=processes,
        log=GrpcRunLog(platform.channel("experiments"), timeout=options.log_timeout_s),
        versions=GrpcVersionLife(
            lifecycle=platform.channel("lifecycle"), registry=platform.channel("registry"), options=options
        ),
        artifacts=platform.artifacts,
        clock=platform.clock,
        changes=Changes(),
        options=options,
    )
    runner = JobRunner(surroundings, tokens=platform.ids("token"))
    await runner.interrupt_former()
    training = Training(surroundings, runner=runner, ids=platform.ids("job"))
    return Role(
        name="training",
        services=[
            Service(
                name="synapsenet.training.v1.TrainingService",
                servicer=TrainingServicer(training),  # type: ignore[abstract]  # the rest is in not_yet_available
                add=add_TrainingServiceServicer_to_server,
            )
        ],
        control=[
            Service(
                name="synapsenet.training.v1.TrainingControlService",
                servicer=TrainingControlServicer(training, processes, options),
                add=add_TrainingControlServiceServicer_to_server,
            )
        ],
        tasks=[Task(name="jobs", run=runner.run)],
    )
