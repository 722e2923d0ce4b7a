"""The coordinator: what people and services ask of a version's life."""

from __future__ import annotations

from dataclasses import replace

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, SynapseError
from synapsenet.ids import IdSource
from synapsenet.lifecycle.beginning import Beginning
from synapsenet.lifecycle.conclusion import SERVING
from synapsenet.lifecycle.failures import as_error
from synapsenet.lifecycle.guards import VersionFacts, check_guards
from synapsenet.lifecycle.ledger import amend, take
from synapsenet.lifecycle.machine import Rule, StateMachine
from synapsenet.lifecycle.model import OWN, Caller, Condition, Json, Operation, OperationState, Transition, VersionStatus
from synapsenet.lifecycle.operations import OperationDesk
from synapsenet.lifecycle.ports import Catalogue, HistoryQuery, LifecycleWork
from synapsenet.lifecycle.projecting import Projector
from synapsenet.lifecycle.report import ValidationReport
from synapsenet.lifecycle.running import Runner
from synapsenet.lifecycle.wishes import DeployWish, Patience, ValidationWish
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.records import decode
from synapsenet.platform.work import Request, WorkFactory


class Coordinator:
    """Moves versions by the table, and nothing else moves them."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        work: WorkFactory[LifecycleWork],
        catalogue: Catalogue,
        beginning: Beginning,
        runner: Runner,
        desk: OperationDesk,
        projector: Projector,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._machine = machine
        self._work = work
        self._catalogue = catalogue
        self._beginning = beginning
        self._runner = runner
        self._desk = desk
        self._projector = projector
        self._clock = clock
        self._ids = ids

    async def adopt(self, model: str, version: int, caller: Caller) -> VersionStatus:
        """Where a version is; from now on it is kept here.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
        """
        return await self._beginning.known(await self._catalogue.find(model, version), caller)

    async def model_id(self, model: str) -> str:
        """The id of the model with that id or name.

        Raises:
            NotFound: MODEL_UNKNOWN.
        """
        return await self._catalogue.model_id(model)

    async def status(self, model: str, version: int) -> tuple[VersionStatus, tuple[str, ...]]:
        """Where a version is, and the events that may happen to it now.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
        """
        status = await self.adopt(model, version, Caller())
        return status, self.allowed(status)

    def allowed(self, status: VersionStatus) -> tuple[str, ...]:
        """The events that may happen to a version that is as `status` says."""
        return () if status.operation_id else self._machine.allowed(status.state)

    async def history(self, model: str, query: HistoryQuery, page: PageRequest) -> Page[Transition]:
        """What happened to a model's versions, the newest first; `query.model_id` is filled in.

        Raises:
            NotFound: MODEL_UNKNOWN.
            InvalidArgument: PAGE_TOKEN_INVALID.
        """
        before = None if page.after is None else int(page.after[0])
        asked = replace(query, model_id=await self._catalogue.model_id(model))
        rows = await self._work.read(lambda tx: tx.history.page(asked, before=before, limit=page.limit + 1))
        return page.page(rows, lambda row: [row.sequence])

    async def report(self, model: str, version: int) -> ValidationReport:
        """What the newest validation of a version found.

        Raises:
            NotFound: MODEL_UNKNOWN, VERSION_UNKNOWN or REPORT_UNKNOWN.
        """
        facts = await self._catalogue.find(model, version)
        found = await self._work.read(lambda tx: tx.reports.newest(facts.model_id, version))
        if found is None:
            raise NotFound("REPORT_UNKNOWN", f"version {facts.title} was never validated", remedy="validate it")
        return found

    async def transition(
        self,
        model: str,
        version: int,
        event: str,
        *,
        condition: Condition | None,
        caller: Caller,
        patience: Patience,
        request: Request,
    ) -> VersionStatus:
        """Let an event happen that one commit carries out.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
            InvalidArgument: EVENT_UNKNOWN or EVENT_HAS_SAGA.
            FailedPrecondition: TRANSITION_NOT_ALLOWED, ARTIFACT_MISSING or VERSION_HAS_ALIASES.
            Aborted: VERSION_BUSY, an operation is at work on it; VERSION_CHANGED.
            AlreadyExists: REQUEST_ID_REUSED.
        """
        if (earlier := await self._work.read(lambda tx: tx.earlier(request))) is not None:
            return decode(VersionStatus, earlier)
        facts = await self._catalogue.find(model, version)
        status = await self._settled(facts, caller, patience)
        rule = self._beginning.examined(status, facts, event)
        if rule.saga:
            raise InvalidArgument(
                "EVENT_HAS_SAGA",
                f"event: {event} takes several steps",
                field="event",
                remedy="use the call of its own that it has",
            )
        return await self._taken(status, rule, condition, caller, request)

    async def move(
        self,
        model: str,
        version: int,
        state: str,
        *,
        condition: Condition | None,
        caller: Caller,
        patience: Patience,
        request: Request,
    ) -> VersionStatus:
        """Bring a version to `state`, for contracts that know states alone; one that it is in already is no move, and its
        condition is set all the same. What takes several steps is waited for.

        Raises:
            As `transition`, with FailedPrecondition MOVE_NOT_ALLOWED; and what an operation failed of.
        """
        if (earlier := await self._work.read(lambda tx: tx.earlier(request))) is not None:
            return decode(VersionStatus, earlier)
        facts = await self._catalogue.find(model, version)
        status = await self._settled(facts, caller, patience)
        if self._machine.states[status.state].original == state:
            return await self._conditioned(status, condition, caller, request)
        rule = self._machine.between(status.state, state)
        if rule is None or rule.by_saga:
            raise self._not_allowed(status, state)
        check_guards(rule, facts)
        if not rule.saga:
            return await self._taken(status, rule, condition, caller, request)
        wait = Patience(wait=patience.wait)
        operation = await self._begun(facts.model_id, version, rule.event, DeployWish().input, caller, wait, Request())
        ended = await self._desk.wait(operation.id, timeout=None)
        if ended.state is not OperationState.SUCCEEDED and ended.failure is not None:
            raise as_error(ended.failure)
        return await self._beginning.known(facts, caller)

    async def report_condition(self, model_id: str, version: int, reporter: str, condition: Condition | None) -> VersionStatus:
        """Note what `reporter` says is wrong with a version, None: nothing any more; it stays in its state.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
        """
        status = await self.adopt(model_id, version, Caller())
        now = self._clock.now()

        def commit(tx: LifecycleWork) -> VersionStatus:
            current = tx.versions.find(status.model_id, version) or status
            return amend(tx, current, current.with_condition(reporter, condition, now))

        return await self._work.run(commit)

    async def validate(
        self, model: str, version: int, wish: ValidationWish, caller: Caller, patience: Patience, request: Request
    ) -> Operation:
        """Have a version prove itself; see `Runner.begin` for what is raised, beside NotFound."""
        return await self._begun(model, version, "validate", wish.input, caller, patience, request)

    async def deploy(
        self, model: str, version: int, wish: DeployWish, caller: Caller, patience: Patience, request: Request
    ) -> Operation:
        """Bring a version to serving; see `Runner.begin` for what is raised, beside NotFound."""
        return await self._begun(model, version, "deploy", wish.input, caller, patience, request)

    async def undeploy(self, model: str, version: int, caller: Caller, patience: Patience, request: Request) -> Operation:
        """Take a version out of traffic; see `Runner.begin` for what is raised, beside NotFound."""
        return await self._begun(model, version, "undeploy", {}, caller, patience, request)

    async def promote(
        self, model: str, version: int, wish: DeployWish, caller: Caller, patience: Patience, request: Request
    ) -> Operation:
        """Shift traffic towards a version that serves; see `Runner.begin` for what is raised, beside NotFound."""
        return await self._begun(model, version, "promote", wish.input, caller, patience, request)

    async def archive(self, model: str, version: int, caller: Caller, patience: Patience, request: Request) -> Operation:
        """End a version's life; see `Runner.begin` for what is raised, beside NotFound."""
        return await self._begun(model, version, "archive", {}, caller, patience, request)

    async def roll_back(
        self, model: str, version: int | None, caller: Caller, patience: Patience, request: Request
    ) -> Operation:
        """Serve an earlier version in the place of the present one; None: the one that served before it.

        Raises:
            FailedPrecondition: NOTHING_TO_ROLL_BACK_TO; and see `Runner.begin`, beside NotFound.
        """
        if (earlier := await self._beginning.earlier(request)) is not None:
            return earlier
        model_id = await self._catalogue.model_id(model)
        if version is None:
            version = await self._work.read(lambda tx: _before(tx, model_id))
        if version is None:
            raise FailedPrecondition(
                "NOTHING_TO_ROLL_BACK_TO",
                f"no other version of model {model} has served",
                field="version",
                remedy="deploy the version that is to serve",
            )
        return await self._begun(model_id, version, "roll_back", DeployWish().input, caller, patience, request)

    async def _begun(
        self, model: str, version: int, event: str, given: Json, caller: Caller, patience: Patience, request: Request
    ) -> Operation:
        if (earlier := await self._beginning.earlier(request)) is not None:
            return earlier
        facts = await self._catalogue.find(model, version)
        now = self._clock.now()
        draft = Operation(
            id=self._ids.next(),
            saga=event,
            saga_version=0,
            model_id=facts.model_id,
            model_name=facts.model_name,
            version=facts.version,
            event=event,
            source="",
            state=OperationState.WAITING,
            steps=(),
            input=given,
            caller=caller,
            created_at=now,
            updated_at=now,
        )
        return await self._runner.begin(draft, request, expected=patience.expected, wait=patience.wait)

    async def _settled(self, facts: VersionFacts, caller: Caller, patience: Patience) -> VersionStatus:
        """Where the version is once no operation is at work on it.

        Raises:
            Aborted: VERSION_BUSY, one still is after `patience`; VERSION_CHANGED.
        """
        until = self._clock.monotonic() + patience.wait
        while True:
            status = await self._beginning.known(facts, caller)
            if patience.expected is not None and status.sequence != patience.expected:
                raise Aborted(
                    "VERSION_CHANGED",
                    f"version {status.title} has changed since its status {patience.expected} was read",
                    remedy="read its status and repeat the wish on what it is now",
                    metadata={"sequence": str(status.sequence)},
                )
            if not status.operation_id:
                return status
            left = until - self._clock.monotonic()
            if left > 0:
                await self._desk.wait(status.operation_id, timeout=left)
            else:
                raise Aborted(
                    "VERSION_BUSY",
                    f"operation {status.operation_id} is at work on version {status.title}",
                    remedy="wait for it to end, or give intent.wait",
                    retry_after=1.0,
                    metadata={"holder": status.operation_id},
                )

    async def _taken(
        self, status: VersionStatus, rule: Rule, condition: Condition | None, caller: Caller, request: Request
    ) -> VersionStatus:
        now = self._clock.now()

        def commit(tx: LifecycleWork) -> VersionStatus:
            def make() -> VersionStatus:
                return take(tx, status, rule, caller=caller, at=now, condition=condition)

            return tx.once(request, VersionStatus, make)

        taken = await self._work.run(commit)
        await self._projector.until_shown(taken)
        return taken

    async def _conditioned(
        self, status: VersionStatus, condition: Condition | None, caller: Caller, request: Request
    ) -> VersionStatus:
        now = self._clock.now()

        def commit(tx: LifecycleWork) -> VersionStatus:
            wished = status.with_condition(OWN, condition, now)
            return tx.once(request, VersionStatus, lambda: amend(tx, status, wished, reason=caller.reason))

        kept = await self._work.run(commit)
        await self._projector.until_shown(kept)
        return kept

    def _not_allowed(self, status: VersionStatus, state: str) -> SynapseError:
        allowed = self._machine.original_targets(status.state)
        return FailedPrecondition(
            "MOVE_NOT_ALLOWED",
            f"version {status.title} is {status.state} and cannot become {state}",
            field="state",
            remedy=f"from {status.state} it can become {', '.join(allowed)}" if allowed else "create a new version",
            metadata={"state": status.state, "allowed": ",".join(allowed)},
        )


def _before(tx: LifecycleWork, model_id: str) -> int | None:
    """The version that served before those that do."""
    now = frozenset(status.version for status in tx.versions.of(model_id) if status.state == SERVING)
    return tx.history.last_serving(model_id, but=now)
