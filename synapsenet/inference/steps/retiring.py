"""The way out of service: versions without traffic finish what they accepted, and are gone; undone, they serve again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from synapsenet.errors import AlreadyExists
from synapsenet.inference.model import (
    Deployment,
    DeploymentRestored,
    DeploymentState,
    ModelUndeployed,
    Stage,
    VersionKey,
    aggregate,
)
from synapsenet.inference.ports import InferenceWork
from synapsenet.inference.steps.crew import Crew, gone
from synapsenet.platform.participation import Json, StepCall, Turn
from synapsenet.platform.records import decode, encode
from synapsenet.platform.work import ANONYMOUS, Request

Choose = Callable[[InferenceWork, StepCall], Sequence[Deployment]]


class Retire:
    """Ends deployments.

    Args:
        choose: which; what the operation has begun to end is ended in any case.
    """

    def __init__(self, crew: Crew, choose: Choose) -> None:
        self._crew = crew
        self._choose = choose

    async def prepare(self, call: StepCall) -> Json:
        """The deployments as they are."""
        found = await self._crew.work.read(lambda tx: self._chosen(tx, call))
        return {"deployments": [encode(one).decode("utf-8") for one in found]}

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[InferenceWork], Json]:
        """Drain them on every replica, and record their end with the answer to whoever waits for it."""
        chosen = await self._crew.work.read(lambda tx: self._chosen(tx, call))
        loaded = [one for found in chosen if (one := self._crew.residents.resident(found.key)) is not None]
        before = sum(one.batcher.totals.ended for one in loaded)
        ending = [await self._ended(found, call, turn) for found in chosen]
        finished = sum(one.batcher.totals.ended for one in loaded) - before

        def end(tx: InferenceWork) -> Json:
            for one in ending:
                if tx.deployments.find(one.key) is None:
                    continue
                final = replace(one, condition=None)
                _remember(tx, tx.deployments.request(one.key), final)
                tx.events.append(aggregate(one.key), ModelUndeployed(deployment=final))
                tx.deployments.remove(one.key)
                tx.reports.remove(one.key)
            _answer(tx, call)
            return {"retired": [one.key.version for one in ending], "finished": finished}

        return end

    async def compensate(self, call: StepCall, compensation_input: Json, turn: Turn) -> Callable[[InferenceWork], None]:
        """Have them in memory on every replica again, and then recorded as serving, without traffic so far."""
        before = [decode(Deployment, text.encode("utf-8")) for text in compensation_input.get("deployments", ())]
        ended = await self._crew.work.read(lambda tx: [one for one in before if _has_ended(tx, one)])
        restored = [await self._restored(one, call, turn) for one in ended]

        def serve(tx: InferenceWork) -> None:
            for one in restored:
                found = tx.deployments.find(one.key)
                if found is not None and found.state is DeploymentState.LOADING:
                    serving = replace(found, state=DeploymentState.SERVING, condition=None)
                    tx.deployments.update(serving)
                    tx.events.append(aggregate(one.key), DeploymentRestored(deployment=serving))

        return serve

    async def _ended(self, found: Deployment, call: StepCall, turn: Turn) -> Deployment:
        def drain(tx: InferenceWork) -> Deployment:
            now = tx.deployments.find(found.key)
            if now is None:
                raise gone(call)
            return replace(now, state=DeploymentState.DRAINING, operation_id=call.operation_id)

        draining = await self._crew.record(turn, drain)
        await self._crew.drain(draining)
        await self._crew.memory.forget(draining)
        return draining

    async def _restored(self, before: Deployment, call: StepCall, turn: Turn) -> Deployment:
        def load(tx: InferenceWork) -> Deployment:
            now = tx.deployments.find(before.key)
            if now is None:
                tx.deployments.add(before, ANONYMOUS)
                now = before
            return replace(now, state=DeploymentState.LOADING, stage=Stage.LOADED, operation_id=call.operation_id)

        deployment = await self._crew.record(turn, load)
        await self._crew.bring(deployment, Stage.LOADED, wanted=0)
        return deployment

    def _chosen(self, tx: InferenceWork, call: StepCall) -> list[Deployment]:
        begun = [
            one
            for one in tx.deployments.all()
            if one.key.model_id == call.model_id
            and one.state is DeploymentState.DRAINING
            and one.operation_id == call.operation_id
        ]
        keys = {one.key for one in begun}
        return [*begun, *(one for one in self._choose(tx, call) if one.key not in keys)]


def _has_ended(tx: InferenceWork, before: Deployment) -> bool:
    """Whether the end of a deployment has at least begun."""
    now = tx.deployments.find(before.key)
    return now is None or now.state not in (DeploymentState.SERVING, DeploymentState.FAILED)


def own_version(tx: InferenceWork, call: StepCall) -> Sequence[Deployment]:
    """The call's own version."""
    found = tx.deployments.find(VersionKey(call.model_id, call.version))
    return [] if found is None else [found]


def without_traffic(tx: InferenceWork, call: StepCall) -> Sequence[Deployment]:
    """The model's other versions that serve and have no traffic any more; none if the operation keeps them."""
    if call.input.get("keep_previous"):
        return []
    routes = tx.routes.find(call.model_id)
    shares = routes.shares if routes else {}
    return [
        one
        for one in tx.deployments.all()
        if one.key.model_id == call.model_id
        and one.key.version != call.version
        and one.state in (DeploymentState.SERVING, DeploymentState.FAILED)
        and not shares.get(one.key.version)
    ]


def _answer(tx: InferenceWork, call: StepCall) -> None:
    """Keep the answer to the call that asked for the version to serve, now that it does for good."""
    key = VersionKey(call.model_id, call.version)
    found = tx.deployments.find(key)
    if found is not None and found.state is DeploymentState.SERVING and (request := tx.deployments.request(key)).id:
        _remember(tx, request, found)
        tx.deployments.update(found, ANONYMOUS)


def _remember(tx: InferenceWork, request: Request, answer: Deployment) -> None:
    """Keep the answer to `request`; one whose id was used for something else meanwhile is refused when it is repeated."""
    try:
        is_new = tx.earlier(request) is None
    except AlreadyExists:
        is_new = False
    if is_new:
        tx.remember(request, encode(answer))
