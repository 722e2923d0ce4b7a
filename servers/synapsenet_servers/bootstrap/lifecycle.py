"""The lifecycle coordinator, put together."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from datetime import timedelta

from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.lifecycle.sagas import INFERENCE, REGISTRY, SAGAS
from synapsenet.lifecycle.service import compose
from synapsenet.lifecycle.table import MACHINE
from synapsenet_api.lifecycle.v1.lifecycle_control_service_pb2_grpc import add_LifecycleControlServiceServicer_to_server
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import add_LifecycleServiceServicer_to_server
from synapsenet_servers.bootstrap.role import Platform, Role, Service, Task
from synapsenet_servers.peers.lifecycle import GrpcCatalogue, GrpcParticipant
from synapsenet_servers.servicers.lifecycle import Coordination
from synapsenet_servers.servicers.lifecycle_control import CoordinationControl


async def assemble(platform: Platform, stack: AsyncExitStack) -> Role:
    """The role `lifecycle`, its records in `data/lifecycle`; what is under way is taken up once it serves."""
    config = platform.config
    work = await stack.enter_async_context(platform.records("lifecycle", metadata=metadata, unit=SqlLifecycleWork))
    lifecycle = compose(
        MACHINE,
        SAGAS,
        work=work,
        feed=work.feed,
        locks=platform.locks,
        catalogue=GrpcCatalogue(
            registry=platform.channel("registry"),
            models=platform.channel("models"),
            machine=MACHINE,
            timeout=config.lifecycle.peer_s,
        ),
        participants={name: GrpcParticipant(name, platform.channel(name)) for name in (INFERENCE, REGISTRY)},
        clock=platform.clock,
        ids=platform.ids("op"),
        options=config.lifecycle,
        holder=f"{config.mesh.host_name}/{os.getpid()}",
        repeated_for=timedelta(seconds=config.retention.requests_s),
    )
    stack.push_async_callback(lifecycle.runner.stop)
    coordinator = Service(
        name="synapsenet.lifecycle.v1.LifecycleService",
        servicer=Coordination(lifecycle, longest_wait_s=config.server.limits.longest_unary_s),
        add=add_LifecycleServiceServicer_to_server,
    )
    control = Service(
        name="synapsenet.lifecycle.v1.LifecycleControlService",
        servicer=CoordinationControl(lifecycle.coordinator),
        add=add_LifecycleControlServiceServicer_to_server,
    )
    tasks = [
        Task(name="carrying operations on", run=lifecycle.runner.keep),
        Task(name="hearing wishes", run=lifecycle.runner.listen),
        Task(name="showing states", run=lifecycle.projector.run),
    ]
    return Role(name="lifecycle", services=[coordinator], control=[control], tasks=tasks)
