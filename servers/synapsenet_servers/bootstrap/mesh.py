"""A host's mesh, put together: Envoy, and the registry followed into the files that it watches."""

from __future__ import annotations

import errno
import os
from contextlib import AsyncExitStack
from functools import partial
from importlib import resources
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from synapsenet.adapters.ownership import own
from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, Internal
from synapsenet_servers.bootstrap.role import Platform, Role, Task, Voucher
from synapsenet_servers.children.supervisor import Child
from synapsenet_servers.mesh.administration import drain
from synapsenet_servers.mesh.clusters import MESH_ROLE, Behind, all_roles, every_role
from synapsenet_servers.mesh.descriptors import external_services, read_descriptors, role_of
from synapsenet_servers.mesh.edge import EnvoyPlaces, start_envoy
from synapsenet_servers.mesh.endpoints import EndpointFiles
from synapsenet_servers.mesh.following import RegistryFollower
from synapsenet_servers.mesh.identities import secret_files, to_people
from synapsenet_servers.mesh.mesh_options import MeshOptions
from synapsenet_servers.mesh.options import EdgeOptions
from synapsenet_servers.security.options import check_edge_bind

_LOOK_EVERY_S = 0.02


async def assemble(platform: Platform, stack: AsyncExitStack) -> Role:
    """The role `mesh`: Envoy under the supervisor, its files in `data/mesh`, drained when the role ends.

    Raises:
        FailedPrecondition: PORT_IN_USE, PORT_REFUSED, ENVOY_MISSING, MESH_SOCKET_REFUSED, DATA_IN_USE.
        InvalidArgument: EDGE_UNPROTECTED.
        Unavailable: CHILD_NOT_READY.
    """
    options, security = platform.config.mesh, platform.config.security
    folder = platform.data / "mesh"
    files = EndpointFiles(folder / "endpoints", zone=options.zone)
    contracts = Path(str(resources.files("synapsenet_api"))) / "api.binpb"
    descriptors = read_descriptors(contracts)
    roles = all_roles(descriptors)
    files.begin(roles)
    secrets = secret_files(security, folder / "secrets")
    edge_options = platform.config.edge if options.edge else EdgeOptions(port=0)
    if options.edge:
        check_edge_bind(security, edge_options.host)
    socket = await _own_socket(options, platform.clock, stack)

    def behind(contract: FileDescriptorSet) -> Behind:
        return every_role(options, security, contract, endpoints=files.path, secrets=secrets)

    places = EnvoyPlaces(contracts=contracts, run=platform.run, log=platform.data / "logs" / "envoy.log", mesh=socket)
    edge = await start_envoy(
        edge_options, places, behind, supervisor=platform.supervisor, clock=platform.clock, public_tls=to_people(secrets)
    )
    stack.push_async_callback(edge.child.stop)  # before the socket is given up, and the ports with it
    stack.push_async_callback(drain, places.admin, platform.clock, within=platform.config.server.drain_s)
    voucher = Voucher(external_services(descriptors))

    async def told(role: str, instances: int) -> None:
        for service in voucher.services:
            if role_of(service) == role:
                await voucher.tell(service, serving=instances > 0)

    follower = RegistryFollower(platform.membership, files, roles, options=options, clock=platform.clock, told=told)
    return Role(
        name=MESH_ROLE,
        services=[],
        tasks=[
            Task(name="endpoints from the registry", run=follower.run),
            Task(name="Envoy", run=partial(_outlive, edge.child)),
        ],
        voucher=voucher,
        told=[f"edge {address}" for address in edge.addresses] if options.edge else [],
    )


async def _own_socket(options: MeshOptions, clock: Clock, stack: AsyncExitStack) -> Path:
    """Own the socket, which Envoy would take from another, in a folder that is made for this user alone if there is none.

    A mesh that has it may be about to end: one that is started beside it takes over at that moment.

    Raises:
        FailedPrecondition: MESH_SOCKET_REFUSED; DATA_IN_USE, another mesh has had it for `mesh.sole_wait_s`.
    """
    socket = Path(options.socket).absolute()  # noqa: ASYNC240 - asks no disk
    _make_room(socket.parent)
    deadline = clock.monotonic() + options.sole_wait_s
    while True:
        try:
            stack.callback(os.close, own(socket))
        except FailedPrecondition as taken:
            if taken.reason != "DATA_IN_USE" or clock.monotonic() >= deadline:
                raise
            await clock.sleep(_LOOK_EVERY_S)
        else:
            return socket


def _make_room(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise FailedPrecondition(
            "MESH_SOCKET_REFUSED",
            f"the folder {folder} for the mesh's socket cannot be used: {error.strerror}",
            field="mesh.socket",
            remedy="name a path in a folder that this user may write to",
        ) from error


async def _outlive(envoy: Child) -> None:
    """Return, and so take the role down, once Envoy has ended for good, after all its restarts."""
    exit_ = await envoy.wait()
    raise Internal("CHILD_DIED", exit_.reason, remedy="see logs/envoy.log in the data folder, then start again")
