"""The coordinator with all that works for it, put together from its ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from synapsenet.clock import Clock
from synapsenet.ids import IdSource
from synapsenet.lifecycle.adopting import Adopting
from synapsenet.lifecycle.beginning import Beginning
from synapsenet.lifecycle.conclusion import Conclusion
from synapsenet.lifecycle.coordinator import Coordinator
from synapsenet.lifecycle.execution import Tools
from synapsenet.lifecycle.forgetting import Forgetting
from synapsenet.lifecycle.machine import StateMachine
from synapsenet.lifecycle.operations import OperationDesk
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.lifecycle.overdue import Overdue
from synapsenet.lifecycle.ports import Catalogue, LifecycleWork, Participant
from synapsenet.lifecycle.projecting import Projector
from synapsenet.lifecycle.running import Runner
from synapsenet.lifecycle.saga import SagaCatalogue
from synapsenet.lifecycle.sagas import COORDINATOR
from synapsenet.lifecycle.validation import CoordinatorSteps
from synapsenet.platform.events import EventFeed
from synapsenet.platform.locks import Locks
from synapsenet.platform.work import WorkFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """Everything that a process needs of the coordinator.

    Attributes:
        coordinator: what is asked of a version's life.
        desk: what is asked of operations.
        runner: `keep` and `listen` are to run in the background, `stop` is for the end.
        projector: `run` is to run in the background.
        feed: the coordinator's events.
    """

    machine: StateMachine
    sagas: SagaCatalogue
    coordinator: Coordinator
    desk: OperationDesk
    runner: Runner
    projector: Projector
    feed: EventFeed


def compose(
    machine: StateMachine,
    sagas: SagaCatalogue,
    *,
    work: WorkFactory[LifecycleWork],
    feed: EventFeed,
    locks: Locks,
    catalogue: Catalogue,
    participants: Mapping[str, Participant],
    clock: Clock,
    ids: IdSource,
    options: LifecycleOptions,
    holder: str,
    repeated_for: timedelta = timedelta(),
) -> Lifecycle:
    """The coordinator by one table.

    Args:
        participants: other services, by the names that steps know them by; the coordinator's own steps are added.
        holder: who this process is, for those who wait for its locks.
        repeated_for: how long the records recognise a request id.
    """
    everybody = {**participants, COORDINATOR: CoordinatorSteps(work=work, clock=clock)}
    projector = Projector(work=work, feed=feed, catalogue=catalogue, locks=locks, clock=clock, options=options, holder=holder)
    beginning = Beginning(machine=machine, sagas=sagas, work=work, catalogue=catalogue, participants=everybody, clock=clock)
    tools = Tools(work=work, participants=everybody, conclusion=Conclusion(machine), clock=clock, options=options)
    overdue = Overdue(machine=machine, work=work, clock=clock)
    runner = Runner(
        tools=tools,
        beginning=beginning,
        overdue=overdue,
        forgetting=Forgetting(work=work, clock=clock, options=options, repeated_for=repeated_for),
        adopting=Adopting(machine=machine, catalogue=catalogue, beginning=beginning, clock=clock),
        sagas=sagas,
        locks=locks,
        feed=feed,
    )
    desk = OperationDesk(work=work, feed=feed, machine=machine, projector=projector, runner=runner, clock=clock)
    coordinator = Coordinator(
        machine=machine,
        work=work,
        catalogue=catalogue,
        beginning=beginning,
        runner=runner,
        desk=desk,
        projector=projector,
        clock=clock,
        ids=ids,
    )
    return Lifecycle(
        machine=machine, sagas=sagas, coordinator=coordinator, desk=desk, runner=runner, projector=projector, feed=feed
    )
