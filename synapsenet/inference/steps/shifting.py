"""The shift of traffic: from one commit on, requests that name no version are spread by other shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from synapsenet.inference.model import Deployment, DeploymentState, ModelDeployed, Stage, VersionKey, aggregate
from synapsenet.inference.ports import InferenceWork
from synapsenet.inference.routing import Routes, Shares, shares_without, wished_shares
from synapsenet.inference.steps.crew import Crew, gone, wanted_replicas
from synapsenet.inference.steps.entering import bring
from synapsenet.platform.participation import Json, StepCall, Turn, giving

_SERVING = (DeploymentState.SERVING, DeploymentState.FAILED)
_LEAVING = frozenset({"undeploy", "withdraw"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """A model's deployments and routes, inside one unit of work.

    Attributes:
        serving: ordered as they were deployed.
    """

    own: Deployment | None
    serving: tuple[Deployment, ...]
    routes: Routes

    @property
    def versions(self) -> list[int]:
        return [one.key.version for one in self.serving]

    @property
    def shares(self) -> Shares:
        """The shares of now; before there were any, all goes to the one deployed last."""
        if self.routes.generation or not self.serving:
            return self.routes.shares
        return {self.serving[-1].key.version: 1.0}


class ShiftTraffic:
    """Gives a model's versions new shares; a version that enters service serves from the same commit on."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    async def prepare(self, call: StepCall) -> Json:
        """The shares of before, and whether the version serves already."""
        standing = await self._crew.work.read(lambda tx: _standing(tx, call))
        return {
            "shares": {str(version): share for version, share in standing.shares.items()},
            "enters": standing.own is not None and standing.own.state not in _SERVING,
        }

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[InferenceWork], Json]:
        """Record the new routes, and return once every replica goes by them.

        Raises:
            FailedPrecondition: TRAFFIC_TO_NOWHERE; DEPLOYMENT_GONE.
            InvalidArgument: TRAFFIC_INVALID.
        """
        standing = await self._crew.work.read(lambda tx: _standing(tx, call))
        if standing.own is None and call.saga in _LEAVING:
            return lambda tx: _leave_nothing(tx, call)
        if standing.own is None:
            raise gone(call)
        if standing.own.state not in _SERVING:  # it must be in memory, also where a crash has put it out
            await self._confirm(standing.own, call, turn)

        def shift(tx: InferenceWork) -> Deployment:
            return _shift(tx, call)

        deployment = await self._crew.record(turn, shift)
        await self._noted(deployment)
        shown = await self._crew.work.read(lambda tx: _standing(tx, call))
        return giving({"traffic": {str(version): shown.routes.shares.get(version, 0.0) for version in shown.versions}})

    async def compensate(self, call: StepCall, compensation_input: Json, turn: Turn) -> Callable[[InferenceWork], None]:
        """Record the routes of before; a version that had entered is loaded, and serves no more."""

        def has_shifted(tx: InferenceWork) -> bool:
            standing = _standing(tx, call)
            return standing.own is not None and standing.routes.operation_id == call.operation_id

        if not await self._crew.work.read(has_shifted):
            return lambda tx: None

        def back(tx: InferenceWork) -> Deployment:
            standing = _standing(tx, call)
            if standing.own is None:
                raise gone(call)
            before = {int(version): float(share) for version, share in compensation_input.get("shares", {}).items()}
            _put(tx, standing.routes, before, call)
            if compensation_input.get("enters"):
                return replace(standing.own, state=DeploymentState.LOADING, stage=Stage.WARM)
            return standing.own

        await self._noted(await self._crew.record(turn, back))
        return lambda tx: None

    async def _confirm(self, deployment: Deployment, call: StepCall, turn: Turn) -> None:
        """Have it in memory on the replicas. If there are others they are asked anew: the one that carried out the step before
        this had nobody to report to, and that may have been another than this."""
        if await self._crew.replicas.others():
            await bring(self._crew, call, turn, Stage.WARM)
            return
        async with self._crew.noting(call, turn):
            await self._crew.bring(deployment, Stage.WARM, wanted=wanted_replicas(call))

    async def _noted(self, deployment: Deployment) -> None:
        routes = await self._crew.work.read(lambda tx: tx.routes.find(deployment.key.model_id))
        if routes is None:
            return
        self._crew.residents.note(deployment)
        self._crew.residents.route(routes)
        await self._crew.route(deployment, routes.generation)


def _standing(tx: InferenceWork, call: StepCall) -> _Standing:
    of_model = [one for one in tx.deployments.all() if one.key.model_id == call.model_id]
    return _Standing(
        own=tx.deployments.find(VersionKey(call.model_id, call.version)),
        serving=tuple(one for one in of_model if one.state in _SERVING),
        routes=tx.routes.find(call.model_id) or Routes(model_id=call.model_id, generation=0, shares={}),
    )


def _shift(tx: InferenceWork, call: StepCall) -> Deployment:
    """Once: a repetition changes nothing."""
    standing = _standing(tx, call)
    if standing.own is None:
        raise gone(call)
    if standing.routes.operation_id == call.operation_id:
        return standing.own
    _put(tx, standing.routes, _shares(standing, call), call)
    if standing.own.state in _SERVING:
        return standing.own
    serving = replace(standing.own, state=DeploymentState.SERVING, condition=None)
    tx.events.append(aggregate(serving.key), ModelDeployed(deployment=serving))
    return serving


def _leave_nothing(tx: InferenceWork, call: StepCall) -> Json:
    """Let a version go that nothing is left of here: the others have the traffic already, or get it now."""
    standing = _standing(tx, call)
    shares = shares_without(call.version, standing.shares, serving=standing.versions)
    if shares != standing.routes.shares:
        _put(tx, standing.routes, shares, call)
    return {"traffic": {str(version): shares.get(version, 0.0) for version in standing.versions}}


def _shares(standing: _Standing, call: StepCall) -> Shares:
    if call.saga in _LEAVING:
        return shares_without(call.version, standing.shares, serving=standing.versions)
    wished = call.input.get("traffic") or {str(call.version): 1.0}
    title = standing.own.model_name if standing.own else call.model_id
    return wished_shares(wished, serving={*standing.versions, call.version}, title=title)


def _put(tx: InferenceWork, routes: Routes, shares: Shares, call: StepCall) -> None:
    tx.routes.put(
        Routes(
            model_id=call.model_id,
            generation=routes.generation + 1,
            shares=shares,
            operation_id=call.operation_id,
        )
    )
