"""What a coordinator makes of another table: a row more is a state more; a saga ends in the version that it began with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from synapsenet.errors import FailedPrecondition
from synapsenet.lifecycle.diagram import diagram
from synapsenet.lifecycle.guards import GUARDS
from synapsenet.lifecycle.machine import Rule, State, StateMachine
from synapsenet.lifecycle.model import Caller, OperationState
from synapsenet.lifecycle.ports import HistoryQuery, StepCall
from synapsenet.lifecycle.saga import SagaCatalogue, Step
from synapsenet.lifecycle.sagas import INFERENCE, SAGAS
from synapsenet.lifecycle.table import MACHINE, RULES, STATES
from synapsenet.lifecycle.wishes import Patience
from synapsenet.platform.paging import PageRequest
from synapsenet.platform.work import ANONYMOUS
from synapsenet.testing.lifecycle_stage import DEADLINE, Stage

OpenStage = Callable[..., AbstractAsyncContextManager[Stage]]

SHADOW = State(name="shadow", description="It gets copies of the traffic.", legacy_name="registered")
COMPARE = Rule(source="registered", event="shadow", target="shadow", description="It is compared.", is_original=False)
OVER = Rule(source="shadow", event="unshadow", target="registered", description="That is over.", is_original=False)
WIDER = StateMachine((*STATES, SHADOW), (*RULES, COMPARE, OVER), initial="created", guards=GUARDS, sagas=SAGAS)

CHECK = Step(name="check", participant=INFERENCE, action="Look once more.", compensation="Look away.")
FORMER = SAGAS["deploy"]
NEWER = replace(FORMER, version=FORMER.version + 1, steps=(CHECK, *FORMER.steps[:3], *FORMER.steps[4:]))
BOTH = SagaCatalogue([*SAGAS.all(), NEWER])

BEFORE = [step.name for step in FORMER.steps]
AFTER = [step.name for step in NEWER.steps]


class TableContract:
    """Subclasses give `open_stage`, coordinators on the same records whose table and sagas a test says."""

    async def test_a_state_is_a_row_and_is_entered_told_and_left_like_all_others(self, open_stage: OpenStage) -> None:
        async with open_stage(machine=WIDER) as stage:
            assert await allowed(stage) == ("archive", "deploy", "deprecate", "roll_back", "shadow")
            assert await transition(stage, "shadow") == "shadow"
            assert stage.shelf.shown[1].state == "shadow"
            assert await allowed(stage) == ("unshadow",)
            with pytest.raises(FailedPrecondition, match="digits:1 is shadow, where deploy cannot happen"):
                await stage.deploy(1)
            assert await transition(stage, "unshadow") == "registered"
            page = await stage.lifecycle.coordinator.history("digits", HistoryQuery(model_id=""), PageRequest())
            assert [(row.event, row.target) for row in page.items][:2] == [("unshadow", "registered"), ("shadow", "shadow")]
        assert "registered --> shadow: shadow" in diagram(WIDER)

    async def test_contracts_that_know_no_such_state_neither_see_it_nor_reach_it(self, open_stage: OpenStage) -> None:
        assert WIDER.states["shadow"].original == "registered"
        async with open_stage(machine=WIDER) as stage:
            await transition(stage, "shadow")
            assert await moved(stage, "registered") == "shadow"
            with pytest.raises(FailedPrecondition) as refused:
                await moved(stage, "shadow")
            assert refused.value.reason == "MOVE_NOT_ALLOWED"

    @pytest.mark.parametrize("fails", [False, True])
    async def test_a_saga_ends_forward_or_back_in_the_version_that_it_began_with(
        self, open_stage: OpenStage, fails: bool
    ) -> None:
        async with open_stage(machine=MACHINE, sagas=SAGAS) as stage:
            stage.troupe.acts["execute load"] = _never
            operation = await stage.deploy(1)
            async with asyncio.timeout(DEADLINE):
                await stage.troupe.asked("execute load")
        async with open_stage(machine=MACHINE, sagas=BOTH) as newer:
            if fails:
                newer.troupe.acts["execute warm_up"] = _fail
            ended = await newer.ended(operation)
            assert (ended.saga_version, [step.name for step in ended.steps]) == (FORMER.version, BEFORE)
            assert ended.state is (OperationState.COMPENSATED if fails else OperationState.SUCCEEDED)
            done = BEFORE[BEFORE.index("load") :]
            assert newer.troupe.done("execute") == (["load", "warm_up"] if fails else done)
            assert newer.troupe.done("compensate") == (["load", "fetch", "reserve"] if fails else [])
            newer.troupe.calls.clear()
            next_one = await newer.ended(await newer.deploy(2))
            assert (next_one.saga_version, newer.troupe.done("execute")) == (NEWER.version, AFTER)


async def allowed(stage: Stage) -> tuple[str, ...]:
    return (await stage.lifecycle.coordinator.status("digits", 1))[1]


async def moved(stage: Stage, state: str) -> str:
    """Where the version is after a wish of a contract that knows states alone."""
    status = await stage.lifecycle.coordinator.move(
        "digits", 1, state, condition=None, caller=Caller(), patience=Patience(), request=ANONYMOUS
    )
    return status.state


async def transition(stage: Stage, event: str) -> str:
    status = await stage.lifecycle.coordinator.transition(
        "digits", 1, event, condition=None, caller=Caller(), patience=Patience(), request=ANONYMOUS
    )
    return status.state


def _never(_call: StepCall) -> object:
    return asyncio.Event().wait()


def _fail(_call: StepCall) -> None:
    raise FailedPrecondition("PROMISE_BROKEN", "it gives what it did not promise")
