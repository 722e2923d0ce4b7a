"""How a move begins: examined by the table, its first intent recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, FailedPrecondition
from synapsenet.lifecycle.conclusion import SERVING, Conclusion
from synapsenet.lifecycle.guards import VersionFacts, check_guards
from synapsenet.lifecycle.ledger import accept, adopt, change, claim, take, version_changed
from synapsenet.lifecycle.machine import Rule, StateMachine
from synapsenet.lifecycle.model import Caller, Condition, Json, Operation, OperationState, StepState, VersionStatus, planned
from synapsenet.lifecycle.ports import Catalogue, LifecycleWork, Participant, StepCall
from synapsenet.lifecycle.saga import SagaCatalogue
from synapsenet.platform.locks import Held
from synapsenet.platform.records import decode, encode
from synapsenet.platform.work import Request, WorkFactory


class Beginning:
    """Examines wishes, and records the first step of those that hold."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        sagas: SagaCatalogue,
        work: WorkFactory[LifecycleWork],
        catalogue: Catalogue,
        participants: Mapping[str, Participant],
        clock: Clock,
    ) -> None:
        self._machine = machine
        self._conclusion = Conclusion(machine)
        self._sagas = sagas
        self._work = work
        self._catalogue = catalogue
        self._participants = participants
        self._clock = clock

    async def known(self, facts: VersionFacts, caller: Caller) -> VersionStatus:
        """Where the version is; one that the coordinator never heard of begins where the registry has it."""
        found = await self._work.read(lambda tx: tx.versions.find(facts.model_id, facts.version))
        if found is not None:
            return found
        now = self._clock.now()
        state = facts.state if facts.state in self._machine.states else self._machine.initial
        status = VersionStatus(
            model_id=facts.model_id,
            model_name=facts.model_name,
            version=facts.version,
            state=state,
            reason=caller.reason,
            entered_at=now,
            updated_at=now,
        )
        return await self._work.run(lambda tx: self._adopted(tx, status, caller))

    def _adopted(self, tx: LifecycleWork, status: VersionStatus, caller: Caller) -> VersionStatus:
        """The version as it is kept from now on; what needs an operation to be carried on, and has none, has failed."""
        if (known := tx.versions.find(status.model_id, status.version)) is not None:
            return known
        adopted = adopt(tx, status, caller=caller)
        if adopted.state not in self._machine.carried:
            return adopted
        lost = Condition(reason="OPERATION_LOST", message=f"it was {adopted.state}, and no operation carries that on")
        way_out = self._machine.failure_exit(adopted.state)
        return take(tx, adopted, way_out, caller=caller, at=status.updated_at, condition=lost)

    def examined(self, status: VersionStatus, facts: VersionFacts, event: str) -> Rule:
        """The rule by which `event` may happen to the version now.

        Raises:
            InvalidArgument: EVENT_UNKNOWN.
            FailedPrecondition: TRANSITION_NOT_ALLOWED, ARTIFACT_MISSING or VERSION_HAS_ALIASES.
        """
        rule = self._machine.rule(status.state, event, title=status.title)
        check_guards(rule, facts)
        return rule

    async def earlier(self, request: Request) -> Operation | None:
        """What the same request began before; None: nothing.

        Raises:
            AlreadyExists: REQUEST_ID_REUSED.
        """
        return await self._work.read(lambda tx: _earlier(tx, request))

    async def begin(self, draft: Operation, request: Request, held: Held, *, expected: int | None) -> Operation:
        """Record that `draft` is at work; or give what the same request began before.

        Raises:
            Aborted: MODEL_BUSY, VERSION_CHANGED or MODEL_TAKEN_OVER.
            AlreadyExists: REQUEST_ID_REUSED.
            FailedPrecondition, InvalidArgument: as `examined`, and what the first step's participant says.
        """

        def record(tx: LifecycleWork, operation: Operation) -> Operation:
            tx.remember(request, encode(operation.id))
            return accept(tx, operation)

        if (earlier := await self.earlier(request)) is not None:
            return earlier
        rule, status, operation = await self._intended(draft, held, expected)

        def commit(tx: LifecycleWork) -> Operation:
            if (earlier := _earlier(tx, request)) is not None:
                return earlier
            self._enter(tx, rule, status, operation, held)
            return record(tx, operation)

        return await self._work.run(commit)

    async def begin_waiting(self, waiting: Operation, held: Held) -> Operation:
        """Record that an operation, which waited for its model, is at work.

        Raises:
            As `begin`; OPERATION_CHANGED, it was cancelled meanwhile.
        """
        rule, status, operation = await self._intended(waiting, held, None)

        def commit(tx: LifecycleWork) -> Operation:
            self._enter(tx, rule, status, operation, held)
            return change(tx, waiting, operation, at=self._clock.now())

        return await self._work.run(commit)

    async def _intended(self, draft: Operation, held: Held, expected: int | None) -> tuple[Rule, VersionStatus, Operation]:
        """`draft` with the intent of its first step, and the status that it was examined on."""
        facts = await self._catalogue.find(draft.model_id, draft.version)
        status = await self.known(facts, draft.caller)
        if expected is not None and status.sequence != expected:
            raise version_changed(status)
        rule = self.examined(status, facts, draft.event)
        saga = self._sagas[rule.saga]
        now = self._clock.now()
        operation = replace(
            draft,
            saga=saga.name,
            saga_version=saga.version,
            source=status.state,
            state=OperationState.RUNNING,
            steps=planned(saga),
            waiting_for="",
            updated_at=now,
        )
        compensation_input = await self._prepared(operation, held)
        operation = operation.with_step(0, state=StepState.RUNNING, compensation_input=compensation_input, started_at=now)
        return rule, status, operation

    async def _prepared(self, operation: Operation, held: Held) -> Json:
        step = self._sagas.definition(operation.saga, operation.saga_version).steps[0]
        if not step.compensation:
            return {}
        call = StepCall(
            operation_id=operation.id,
            step=step.name,
            saga=operation.saga,
            saga_version=operation.saga_version,
            model_id=operation.model_id,
            version=operation.version,
            input=operation.input,
        )
        participant = self._participants[step.participant]
        return await participant.prepare(call, fence=held.token, timeout=step.timeout.total_seconds())

    def _enter(self, tx: LifecycleWork, rule: Rule, status: VersionStatus, operation: Operation, held: Held) -> None:
        claim(tx, operation.model_id, held.token)
        if (other := tx.operations.at_work(operation.model_id)) is not None:
            raise Aborted(
                "MODEL_BUSY",
                f"model {operation.model_name} is held by operation {other.id}, {other.title}",
                remedy="wait for it to end, or give intent.wait",
                retry_after=1.0,
                metadata={"holder": f"operation {other.id}, {other.title}", "model_id": operation.model_id},
            )
        self._check_shares(tx, operation)
        current = tx.versions.find(status.model_id, status.version)
        if current is None or current.sequence != status.sequence:
            raise version_changed(status)
        self._conclusion.begin(tx, current, rule, operation, at=operation.updated_at)

    def _check_shares(self, tx: LifecycleWork, operation: Operation) -> None:
        """Pass if traffic goes to versions alone that serve, or will.

        Raises:
            FailedPrecondition: TRAFFIC_TO_NOWHERE.
        """
        shares: Mapping[str, float] = operation.input.get("traffic") or {}
        serving = {str(one.version) for one in tx.versions.of(operation.model_id) if one.state == SERVING}
        if astray := sorted(set(shares) - serving - {str(operation.version)}):
            raise FailedPrecondition(
                "TRAFFIC_TO_NOWHERE",
                f"version {astray[0]} of model {operation.model_name} does not serve and can take no traffic",
                field="traffic",
                remedy="deploy it first, or leave it out",
            )


def _earlier(tx: LifecycleWork, request: Request) -> Operation | None:
    answer = tx.earlier(request)
    return None if answer is None else tx.operations.find(decode(str, answer))
