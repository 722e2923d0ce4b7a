"""Single calls of whoever holds a model, carried out as the steps that sagas have: a step is one thing however it is asked for.

A call names its operation and step, so a repetition gives the first answer; and it comes with a fence, so a former holder is
refused. What undoing will need is kept before a step is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from synapsenet.errors import InvalidArgument
from synapsenet.inference.availability import refuse_what_is_to_come
from synapsenet.inference.model import BatchingPolicy, Deployment, VersionKey
from synapsenet.inference.ports import InferenceWork
from synapsenet.inference.residents import Resident, Residents
from synapsenet.inference.routing import Shares
from synapsenet.inference.run_options import RunOptions
from synapsenet.inference.steps.crew import gone
from synapsenet.inference.wish import DeploymentWish, DeterminismMode
from synapsenet.platform.participant import Participant
from synapsenet.platform.participation import Json, StepCall
from synapsenet.platform.records import decode
from synapsenet.platform.work import Request, WorkFactory

W = TypeVar("W", bound=InferenceWork)

LOAD = "load"
WARM_UP = "warm_up"
SHIFT = "shift_traffic"
UNLOAD = "unload"

_INTO_MEMORY = ("reserve", "fetch", LOAD)
_BACK = ":compensate"
_NOTHING: Json = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who acts, on which model.

    Attributes:
        step: of the operation, with `:compensate` for undoing it.
        fence: of the model's lock.
    """

    operation_id: str
    step: str
    fence: int
    model_id: str


Loaded = tuple[Deployment, Resident | None]
"""A deployment, and what of it is in memory."""


class Control(Generic[W]):
    """What a replica does for the holder of a model, call by call.

    Args:
        participant: carries out the steps, and keeps the fences.
        batching: stands in for what a load leaves out.
    """

    def __init__(
        self,
        *,
        participant: Participant[W],
        work: WorkFactory[W],
        residents: Residents,
        batching: BatchingPolicy,
    ) -> None:
        self._participant = participant
        self._work = work
        self._residents = residents
        self._batching = batching

    async def load(self, holder: Holder, wish: DeploymentWish) -> Loaded:
        """Have a version in memory, without any traffic; or again, where its unloading is undone.

        Raises:
            InvalidArgument: STEP_MISMATCH, BATCHING_INVALID.
            NotYetAvailable: an option is not in this release.
            FailedPrecondition: FENCED, STEP_COMPENSATED, ARTIFACT_MISSING.
            SynapseError: what fetching and loading say.
        """
        refuse_what_is_to_come(wish)
        if _undoes(holder, forward=LOAD, undone=UNLOAD):
            await self._undo(holder, UNLOAD, wish.version)
        else:
            options = RunOptions(
                batching=wish.batching.filled(self._batching),
                relaxed=wish.determinism is DeterminismMode.RELAXED,
                pinned=wish.pinned,
            )
            for step in _INTO_MEMORY:
                await self._do(holder, step, wish.version, {"options": options.to_json()})
        return self._loaded(holder, wish.version)

    async def warm(self, holder: Holder, version: int) -> Loaded:
        """Run a loaded version once, and compare what it gives with what it promises.

        Raises:
            InvalidArgument: STEP_MISMATCH.
            FailedPrecondition: FENCED, STEP_COMPENSATED, PROMISE_BROKEN, DEPLOYMENT_GONE.
        """
        _undoes(holder, forward=WARM_UP)
        await self._do(holder, WARM_UP, version)
        return self._loaded(holder, version)

    async def route(self, holder: Holder, shares: Shares) -> Shares:
        """Spread the requests that name no version by `shares`; the shares of before.

        Raises:
            InvalidArgument: STEP_MISMATCH, TRAFFIC_INVALID.
            FailedPrecondition: FENCED, STEP_COMPENSATED, TRAFFIC_TO_NOWHERE, DEPLOYMENT_GONE.
        """
        undoes = _undoes(holder, forward=SHIFT, undone=SHIFT)
        version = await self._work.read(lambda tx: _entering(tx, holder, shares))
        traffic = {str(number): share for number, share in shares.items()}
        if undoes:
            await self._undo(holder, SHIFT, version, {"shares": traffic})
            return {}
        if not shares:
            raise InvalidArgument("TRAFFIC_INVALID", field="shares", remedy="name the versions that share the traffic")
        _, before = await self._do(holder, SHIFT, version, {"traffic": traffic})
        return {int(number): float(share) for number, share in before.get("shares", {}).items()}

    async def unload(self, holder: Holder, version: int) -> int:
        """Have a version finish what it accepted, and out of memory; or taken back, where its loading is undone.

        Returns:
            How many requests it finished here meanwhile.

        Raises:
            InvalidArgument: STEP_MISMATCH.
            FailedPrecondition: FENCED, STEP_COMPENSATED.
        """
        if not _undoes(holder, forward=UNLOAD, undone=LOAD):
            result, _ = await self._do(holder, UNLOAD, version)
            return int(result.get("finished", 0))
        for step in reversed(_INTO_MEMORY):
            await self._undo(holder, step, version)
        return 0

    async def _do(self, holder: Holder, step: str, version: int, given: Json = _NOTHING) -> tuple[Json, Json]:
        """What the step gives, and what undoing it needs: as it was before its first attempt."""
        call = _call(holder, step, version, given)
        now = await self._participant.prepare(call, fence=holder.fence)
        needed = await self._work.run(lambda tx: tx.once(_note(holder, step), dict, lambda: dict(now)))
        outcome = await self._participant.execute(call, fence=holder.fence)
        return outcome.result, needed

    async def _undo(self, holder: Holder, step: str, version: int, told: Json = _NOTHING) -> None:
        """Undo the step with what was kept for it, and what the caller tells beside."""
        kept = await self._work.read(lambda tx: tx.earlier(_note(holder, step)))
        needed = {} if kept is None else decode(dict, kept)
        await self._participant.compensate(_call(holder, step, version, {}), needed | dict(told), fence=holder.fence)

    def _loaded(self, holder: Holder, version: int) -> Loaded:
        key = VersionKey(holder.model_id, version)
        if (found := self._residents.deployment(key)) is None:
            raise gone(_call(holder, LOAD, version, {}))
        return found, self._residents.resident(key)


def _call(holder: Holder, step: str, version: int, given: Json) -> StepCall:
    return StepCall(
        operation_id=holder.operation_id,
        step=step,
        saga_version=1,
        model_id=holder.model_id,
        version=version,
        input=given,
    )


def _note(holder: Holder, step: str) -> Request:
    """What undoing a step needs is kept by this name."""
    return Request(f"undoing/{holder.operation_id}/{step}", holder.model_id.encode())


def _undoes(holder: Holder, *, forward: str, undone: str = "") -> bool:
    """Whether the call undoes `undone` rather than carry `forward` out.

    Raises:
        InvalidArgument: STEP_MISMATCH, it does neither.
    """
    known = {forward: False} | ({undone + _BACK: True} if undone else {})
    if holder.step not in known:
        raise InvalidArgument(
            "STEP_MISMATCH",
            f"fence.step: {holder.step[:64]!r} is no step that this call carries out",
            field="fence.step",
            remedy=f"give {' or '.join(known)}",
        )
    return known[holder.step]


def _entering(tx: InferenceWork, holder: Holder, shares: Mapping[int, float]) -> int:
    """The version that enters service by the operation; else the one that gets the most; 0: there is none."""
    of_model = [one for one in tx.deployments.all() if one.key.model_id == holder.model_id]
    made = [one.key.version for one in of_model if one.operation_id == holder.operation_id]
    if made:
        return max(made)
    serving = [one.key.version for one in of_model]
    return max(serving, key=lambda number: shares.get(number, 0.0), default=0)
