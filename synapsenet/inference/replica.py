"""One replica of inference, put together from its ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from synapsenet.clock import Clock
from synapsenet.inference.deploying import Deployer
from synapsenet.inference.following import Follower, Steps
from synapsenet.inference.loading import Loader
from synapsenet.inference.memory import Memory
from synapsenet.inference.model import Stage
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.ports import InferenceWork, Lifecycle, Registry
from synapsenet.inference.replicas import Replicas
from synapsenet.inference.repository import Repository
from synapsenet.inference.residency import Residency
from synapsenet.inference.residents import Residents
from synapsenet.inference.steps.crew import Crew
from synapsenet.inference.steps.entering import Bring, Reserve, WarmUp
from synapsenet.inference.steps.retiring import Retire, own_version, without_traffic
from synapsenet.inference.steps.shifting import ShiftTraffic
from synapsenet.platform.events import EventFeed
from synapsenet.platform.membership import Membership
from synapsenet.platform.participation import Step
from synapsenet.platform.work import WorkFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """Everything that a process needs of a replica.

    Attributes:
        residency: `recall` comes first, `keep` is to run in the background.
        follower: `run` is to run in the background.
        replicas: `run` is to run in the background.
        steps: what it does for sagas, by name; `evaluate` comes from its own file.
    """

    residents: Residents
    memory: Memory
    residency: Residency
    replicas: Replicas
    follower: Follower
    deployer: Deployer
    repository: Repository
    steps: Mapping[str, Step[InferenceWork]]

    async def stop(self) -> None:
        """Give up what is under way, for the next start, and answer whoever waits for a prediction."""
        await self.deployer.stop()
        await self.follower.stop()
        await self.memory.close()


def compose(
    *,
    own: str,
    work: WorkFactory[InferenceWork],
    feed: EventFeed,
    registry: Registry,
    lifecycle: Lifecycle,
    membership: Membership,
    loader: Loader,
    clock: Clock,
    options: InferenceOptions,
) -> Replica:
    """The replica that calls itself `own`, a name that no other live one has."""
    residents = Residents(max_models=options.max_loaded_models, max_bytes=options.max_loaded_bytes)
    memory = Memory(loader=loader, residents=residents, options=options)
    replicas = Replicas(own=own, membership=membership, work=work, clock=clock, options=options)
    residency = Residency(
        work=work, lifecycle=lifecycle, memory=memory, residents=residents, replicas=replicas, clock=clock, options=options
    )
    steps = Steps(
        is_busy=memory.is_busy,
        until_idle=memory.until_idle,
        take_up=residency.take_up,
        let_go=memory.forget,
        heard=replicas.heard,
    )
    follower = Follower(work=work, feed=feed, residents=residents, clock=clock, options=options, steps=steps)
    deployer = Deployer(
        work=work,
        registry=registry,
        lifecycle=lifecycle,
        residents=residents,
        follower=follower,
        clock=clock,
        options=options,
    )
    crew = Crew(work=work, memory=memory, residents=residents, replicas=replicas, clock=clock)
    return Replica(
        residents=residents,
        memory=memory,
        residency=residency,
        replicas=replicas,
        follower=follower,
        deployer=deployer,
        repository=Repository(registry=registry, residents=residents, deployer=deployer),
        steps={
            "reserve": Reserve(crew, registry=registry, batching=options.batching),
            "fetch": Bring(crew, Stage.FETCHED, back=Stage.RESERVED),
            "load": Bring(crew, Stage.LOADED, back=Stage.FETCHED),
            "warm_up": WarmUp(crew),
            "shift_traffic": ShiftTraffic(crew),
            "retire_previous": Retire(crew, without_traffic),
            "unload": Retire(crew, own_version),
        },
    )
