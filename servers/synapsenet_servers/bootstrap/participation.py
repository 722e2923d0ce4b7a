"""Taking part in sagas, put together: an area's participant, and the one service of a process for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from synapsenet.platform.participant import Participant
from synapsenet.platform.participation import ParticipantWork, Step
from synapsenet.platform.work import WorkFactory
from synapsenet_api.lifecycle.v1.participant_control_service_pb2_grpc import add_ParticipantControlServiceServicer_to_server
from synapsenet_servers.bootstrap.role import Platform, Service
from synapsenet_servers.mesh.addressing import PARTICIPANTS
from synapsenet_servers.servicers.participation import ParticipantControl

W = TypeVar("W", bound=ParticipantWork)


def open_participant(
    name: str, platform: Platform, stack: AsyncExitStack, *, work: WorkFactory[W], steps: Mapping[str, Step[W]]
) -> Participant[W]:
    """The part that the area `name` takes in sagas; what goes on of it ends with `stack`."""
    options = platform.config.participation
    participant = Participant(name, work=work, steps=steps, clock=platform.clock, options=options)
    stack.push_async_callback(participant.close)
    return participant


def participation(participants: Sequence[Participant[Any]]) -> Service:
    """The service by which a coordinator asks any of `participants`."""
    return Service(
        name=PARTICIPANTS,
        servicer=ParticipantControl(participants),
        add=add_ParticipantControlServiceServicer_to_server,
    )
