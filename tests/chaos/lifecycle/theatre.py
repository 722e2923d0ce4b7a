"""Those who take part in the sagas of scripted models: real participants with real records, that only pretend to load models.

Each effect is an event of their log, in the transaction that keeps the step's outcome: the log is what really happened.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from synapsenet.adapters.sql.inference import SqlInferenceWork
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.clock import SystemClock
from synapsenet.errors import DataLoss, SynapseError
from synapsenet.lifecycle.sagas import COORDINATOR, SAGAS
from synapsenet.platform.participant import Outcome, Participant, ParticipationOptions
from synapsenet.platform.participation import Json, StepCall, Turn
from synapsenet.platform.records import decode, encode
from synapsenet.platform.work import Request
from synapsenet.testing.lifecycle_history import Write
from tests.chaos.lifecycle.points import Gate
from tests.chaos.lifecycle.scripts import ACCURACY, Script
from tests.chaos.lifecycle.troubles import Troubles

TAKER = "participant"
Effects = SqlWork[SqlInferenceWork]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a step, or undoing it, did to a model.

    Attributes:
        routes: traffic by version afterwards.
        loaded: versions in memory afterwards.
    """

    operation_id: str = ""
    saga: str = ""
    step: str = ""
    fence: int = 0
    routes: Mapping[str, float]
    loaded: tuple[int, ...]


class Scene:
    """One step of every scripted model."""

    def __init__(self, work: Effects, name: str) -> None:
        self._work = work
        self._name = name

    async def prepare(self, call: StepCall) -> Json:
        now = await self._work.read(lambda tx: present(tx, call.model_id))
        return {"routes": dict(now.routes), "loaded": list(now.loaded)}

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[SqlInferenceWork], Json]:
        script = Script.of(call.model_id)
        await Player.troubles.within(call.model_id, f"execute {call.step}")
        if script.fails_at == self._name:
            raise DataLoss("ARTIFACT_CORRUPT", "the script says that it fails")

        def last(tx: SqlInferenceWork) -> Json:
            now = present(tx, call.model_id)
            after = _ACTIONS.get(self._name, _nothing)(now, call)
            _commit(tx, turn, after)
            return self._given(script, after)

        return last

    async def compensate(self, call: StepCall, compensation_input: Json, turn: Turn) -> Callable[[SqlInferenceWork], None]:
        await Player.troubles.within(call.model_id, f"compensate {call.step}")

        def last(tx: SqlInferenceWork) -> None:
            now = present(tx, call.model_id)
            if self._name == "shift_traffic":
                now = replace(now, routes=compensation_input["routes"])
            elif self._name in ("load", "retire_previous", "unload"):
                now = replace(now, loaded=tuple(int(version) for version in compensation_input["loaded"]))
            _commit(tx, turn, now)

        return last

    def _given(self, script: Script, after: Effect) -> Json:
        if self._name == "shift_traffic":
            return {"traffic": dict(after.routes)}
        if self._name == "verify_artifact":
            return {"artifact_sha256": "ab" * 32}
        if self._name == "evaluate":
            return {"metrics": {"accuracy": 0.0 if script.fails_at == "judge" else ACCURACY}, "examples": 10}
        return {}


def _shift(now: Effect, call: StepCall) -> Effect:
    if call.saga in ("undeploy", "withdraw"):
        return replace(now, routes={version: share for version, share in now.routes.items() if version != str(call.version)})
    return replace(now, routes=call.input.get("traffic") or {str(call.version): 1.0})


def _nothing(now: Effect, call: StepCall) -> Effect:
    return now


_ACTIONS: Mapping[str, Callable[[Effect, StepCall], Effect]] = {
    "load": lambda now, call: replace(now, loaded=tuple(sorted({*now.loaded, call.version}))),
    "shift_traffic": _shift,
    "retire_previous": lambda now, call: replace(now, loaded=tuple(v for v in now.loaded if str(v) in now.routes)),
    "unload": lambda now, call: replace(now, loaded=tuple(v for v in now.loaded if v != call.version)),
}


def present(tx: SqlInferenceWork, model_id: str) -> Effect:
    """How a model stands."""
    script, number, last = Script.of(model_id), 1, None
    while (kept := tx.earlier(Request(f"{model_id}/{number}"))) is not None:
        last, number = kept, number + 1
    if last is not None:
        return decode(Effect, last)
    loaded = tuple(version for version, state in script.states.items() if state == "serving")
    return Effect(routes=script.routes, loaded=loaded)


def _commit(tx: SqlInferenceWork, turn: Turn, after: Effect) -> None:
    call = turn.call
    step = f"{turn.key.direction} {call.step}"
    done = replace(after, operation_id=call.operation_id, saga=call.saga, step=step, fence=turn.fence)
    number = tx.events.append(f"model/{call.model_id}", done)
    tx.remember(Request(f"{call.model_id}/{number}"), encode(done))


class Player(Participant[SqlInferenceWork]):
    """A participant whose process may die before it hears of a call, or before it answers.

    Attributes:
        refused: calls with too low a fence.
        troubles: what else goes wrong with steps.
    """

    gate = Gate({})
    troubles = Troubles()
    refused = 0

    async def execute(self, call: StepCall, *, fence: int) -> Outcome:
        return await self._mortal(call, f"execute {call.step}", super().execute(call, fence=fence))

    async def compensate(self, call: StepCall, compensation_input: Json, *, fence: int) -> Outcome:
        undoing = super().compensate(call, compensation_input, fence=fence)
        return await self._mortal(call, f"compensate {call.step}", undoing)

    async def _mortal(self, call: StepCall, what: str, carrying_out: Coroutine[Any, Any, Outcome]) -> Outcome:
        self.troubles.count(call.model_id, what)
        with closing(carrying_out):
            await self.gate.pass_by(call.model_id, what, "before")
            try:
                outcome = await carrying_out
            except SynapseError as error:
                Player.refused += error.reason == "FENCED"
                await self.gate.pass_by(call.model_id, what, "after")
                raise
        await self.gate.pass_by(call.model_id, what, "after")
        await self.troubles.before_answer(call.model_id, what)
        return outcome


def players(work: Effects, options: ParticipationOptions | None = None) -> Sequence[Player]:
    """Everybody whom the sagas' steps name, but for the coordinator itself."""
    steps = {(step.participant, step.name) for saga in SAGAS.all() for step in saga.steps if step.participant != COORDINATOR}
    return [
        Player(
            who,
            work=work,
            steps={name: Scene(work, name) for participant, name in steps if participant == who},
            clock=SystemClock(),
            options=options or ParticipationOptions(),
        )
        for who in sorted({participant for participant, _ in steps})
    ]


async def written(work: Effects) -> list[Write]:
    """All that they did, in the order of their commits."""
    found: list[Write] = []
    after = 0
    while events := await work.feed.read(after=after, limit=1_000):
        after = events[-1].position
        for event in events:
            effect = decode(Effect, event.payload)
            done: dict[str, Any] = {name: getattr(effect, name) for name in ("operation_id", "saga", "step", "fence", "routes")}
            model_id = event.aggregate.removeprefix("model/")
            found.append(Write(taker=TAKER, model_id=model_id, loaded=frozenset(effect.loaded), **done))
    return found
