"""A saga of five empty steps: through the coordinator, and as its commits alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Engine, event

from synapsenet.lifecycle.ledger import accept, adopt, amend, change, claim
from synapsenet.lifecycle.model import Caller, Operation, OperationState, StepState, VersionStatus, planned
from synapsenet.lifecycle.ports import LifecycleWork
from synapsenet.lifecycle.saga import Saga, SagaCatalogue, Step
from synapsenet.lifecycle.sagas import INFERENCE, SAGAS
from synapsenet.lifecycle.wishes import DeployWish, Patience
from synapsenet.platform.records import encode
from synapsenet.platform.work import Request, WorkFactory
from synapsenet.testing.lifecycle_stage import MODEL, Stage
from tests.performance.lifecycle.transitions import CALLER, DIGEST, registered

STEPS = 5
COMMITS = STEPS + 1

EMPTY = Saga(
    name="promote",
    version=2,
    steps=tuple(
        Step(name=f"step_{number}", participant=INFERENCE, action="Nothing.", compensation="Nothing.")
        for number in range(STEPS)
    ),
)
WITH_EMPTY = SagaCatalogue((*SAGAS.all(), EMPTY))
"""Promoting takes five steps that do nothing: a serving version can be promoted again and again."""


class EmptySagas:
    """One saga a call, from the wish to its end."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._numbers = itertools.count()

    async def run(self) -> None:
        request = Request(f"saga-{next(self._numbers)}", DIGEST)
        begun = await self._stage.lifecycle.coordinator.promote(MODEL, 1, DeployWish(), CALLER, Patience(), request)
        ended = await self._stage.ended(begun)
        assert ended.state is OperationState.SUCCEEDED


class ItsCommits:
    """What such a saga writes, in six units of work one after the other, with nothing around them."""

    def __init__(self, work: WorkFactory[Any]) -> None:
        self._work = work
        self._numbers = itertools.count(1)

    async def begin(self) -> None:
        status = replace(registered("mdl-bare"), state="serving")
        await self._work.run(lambda tx: adopt(tx, status, caller=CALLER))

    async def run(self) -> None:
        number = next(self._numbers)
        operation = await self._work.run(lambda tx: self._begun(tx, number))
        for step in range(STEPS):
            operation = await self._work.run(partial(self._stepped, old=operation, at=step, number=number))

    def _begun(self, tx: LifecycleWork, number: int) -> Operation:
        operation, request = _operation(number), Request(f"bare-{number}", DIGEST)
        assert tx.earlier(request) is None
        claim(tx, "mdl-bare", number)
        assert tx.operations.at_work("mdl-bare") is None
        tx.versions.of("mdl-bare")
        status = self._status(tx)
        amend(tx, status, replace(status, operation_id=operation.id))
        tx.remember(request, encode(operation.id))
        return accept(tx, operation)

    def _stepped(self, tx: LifecycleWork, old: Operation, at: int, number: int) -> Operation:
        now = datetime.now(UTC)
        new = old.with_step(at, state=StepState.DONE, ended_at=now)
        if at + 1 < STEPS:
            new = new.with_step(at + 1, state=StepState.RUNNING, started_at=now)
        else:
            new = replace(new, state=OperationState.SUCCEEDED)
        claim(tx, "mdl-bare", number)
        recorded = change(tx, old, new, at=now)
        if recorded.state.has_ended:
            status = self._status(tx)
            amend(tx, status, replace(status, operation_id=""))
        return recorded

    def _status(self, tx: LifecycleWork) -> VersionStatus:
        status = tx.versions.find("mdl-bare", 1)
        assert status is not None
        return status


def _operation(number: int) -> Operation:
    now = datetime.now(UTC)
    operation = Operation(
        id=f"op-{number}",
        saga=EMPTY.name,
        saga_version=EMPTY.version,
        model_id="mdl-bare",
        model_name="digits",
        version=1,
        event=EMPTY.name,
        source="serving",
        state=OperationState.RUNNING,
        steps=planned(EMPTY),
        input=DeployWish().input,
        caller=Caller(actor=CALLER.actor, reason=CALLER.reason),
        created_at=now,
        updated_at=now,
    )
    return operation.with_step(0, state=StepState.RUNNING, started_at=now)


class Commits:
    """Counts what is committed over an engine."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def of(self, engine: Engine) -> Iterator[None]:
        """Count inside a `with`."""

        def committed(_connection: object) -> None:
            self.count += 1

        event.listen(engine, "commit", committed)
        try:
            yield
        finally:
            event.remove(engine, "commit", committed)
