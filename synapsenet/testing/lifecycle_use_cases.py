"""What the coordinator promises of single moves, whatever its records are kept in."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from synapsenet.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from synapsenet.lifecycle.events import VersionTransitioned
from synapsenet.lifecycle.model import Caller, Condition, Operation, OperationState, VersionStatus
from synapsenet.lifecycle.ports import HistoryQuery
from synapsenet.lifecycle.report import Comparator, Threshold
from synapsenet.lifecycle.wishes import Patience, ValidationWish
from synapsenet.platform.paging import PageRequest
from synapsenet.platform.records import decode
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.testing.lifecycle_stage import DEADLINE, MODEL, Stage

ADA = Caller(actor="ada", reason="because", request_id="r-1", trace_id="ab" * 16)
ACCURATE = Threshold(metric="accuracy", comparator=Comparator.AT_LEAST, value=0.95)
AT_ONCE = Patience()
DRIFT = Condition(reason="DRIFT", message="inputs have moved")


class CoordinatorContract:
    """Subclasses give `stage`, a coordinator whose registry has versions as `created`, with an artifact."""

    async def test_a_version_that_was_never_heard_of_begins_where_the_registry_has_it(self, stage: Stage) -> None:
        stage.shelf.state = "registered"
        status, allowed = await stage.lifecycle.coordinator.status("digits", 3)
        assert (status.state, status.model_id, status.title, status.sequence) == ("registered", MODEL, "digits:3", 1)
        assert allowed == ("archive", "deploy", "deprecate", "roll_back")

    async def test_an_event_moves_a_version_and_is_history_and_an_event_with_one_number(self, stage: Stage) -> None:
        moved = await move(stage, "train")
        assert (moved.state, moved.sequence) == ("training", 2)
        page = await stage.lifecycle.coordinator.history("digits", HistoryQuery(model_id=""), PageRequest())
        newest, first = page.items
        assert (first.source, first.event, first.target, first.sequence) == ("", "create", "created", 1)
        assert (newest.source, newest.event, newest.target, newest.sequence) == ("created", "train", "training", 2)
        assert newest.caller == ADA
        events = await stage.lifecycle.feed.read(after=0, limit=10, aggregate=f"model/{MODEL}")
        assert [event.sequence for event in events] == [1, 2]
        told = decode(VersionTransitioned, events[-1].payload)
        assert (told.source, told.event, told.status.state, told.caller) == ("created", "train", "training", ADA)

    async def test_the_registry_shows_a_move_before_its_caller_is_answered(self, stage: Stage) -> None:
        moved = await move(stage, "train")
        assert stage.shelf.shown[1] == moved
        assert stage.shelf.shown[1].reason == ADA.reason

    async def test_the_registry_is_told_why_a_condition_changed_and_not_why_something_else_did(self, stage: Stage) -> None:
        await move(stage, "train")
        assert (await bring(stage, "training", condition=DRIFT)).reason == ADA.reason
        reported = await stage.lifecycle.coordinator.report_condition(MODEL, 1, "inference/replica-1", DRIFT)
        assert reported.reason == ""

    async def test_a_registry_that_is_away_does_not_hold_moves_up_and_is_told_later(self, stage: Stage) -> None:
        await stage.lifecycle.coordinator.status("digits", 1)
        stage.shelf.away = Unavailable("AWAY", "nobody is there")
        moved = await move(stage, "train")
        assert 1 not in stage.shelf.shown or stage.shelf.shown[1].sequence < moved.sequence
        stage.shelf.away = None
        async with asyncio.timeout(DEADLINE):
            await stage.shelf.shows(moved)

    async def test_an_illegal_event_is_refused_and_leaves_nothing(self, stage: Stage) -> None:
        with pytest.raises(FailedPrecondition) as refused:
            await move(stage, "restore")
        assert refused.value.reason == "TRANSITION_NOT_ALLOWED"
        assert refused.value.metadata["allowed"] == "archive,train,upload,validate"
        assert (await stage.status(1)).state == "created"

    async def test_an_event_that_takes_several_steps_has_a_call_of_its_own(self, stage: Stage) -> None:
        with pytest.raises(InvalidArgument, match="validate takes several steps"):
            await move(stage, "validate")

    async def test_a_failure_is_a_condition_beside_the_state_and_the_next_move_takes_it_away(self, stage: Stage) -> None:
        await move(stage, "train")
        failed = await move(stage, "fail_training", condition=Condition(reason="DIVERGED", message="the loss is not finite"))
        assert failed.state == "created"
        assert failed.condition is not None
        assert failed.condition.reason == "DIVERGED"
        assert failed.condition.since is not None
        assert (await move(stage, "train")).condition is None

    async def test_the_same_request_again_gives_the_same_answer_and_moves_nothing(self, stage: Stage) -> None:
        request = Request("train-1", b"body")
        first = await move(stage, "train", request=request)
        assert await move(stage, "train", request=request) == first
        with pytest.raises(AlreadyExists):
            await move(stage, "train", request=Request("train-1", b"another"))

    async def test_a_wish_that_is_based_on_an_older_status_is_refused(self, stage: Stage) -> None:
        moved = await move(stage, "train")
        with pytest.raises(Aborted) as refused:
            await move(stage, "fail_training", patience=Patience(expected=moved.sequence - 1))
        assert refused.value.reason == "VERSION_CHANGED"
        await move(stage, "fail_training", patience=Patience(expected=moved.sequence))

    async def test_of_many_that_move_a_version_at_once_one_wins(self, stage: Stage) -> None:
        await stage.lifecycle.coordinator.status("digits", 1)
        outcomes = await asyncio.gather(*(move(stage, "train") for _ in range(16)), return_exceptions=True)
        won = [outcome for outcome in outcomes if isinstance(outcome, VersionStatus)]
        assert len(won) == 1
        assert all(isinstance(outcome, Aborted | FailedPrecondition | VersionStatus) for outcome in outcomes)
        assert (await stage.status(1)).sequence == 2

    async def test_while_an_operation_is_at_work_on_a_version_it_moves_by_nobody_else(self, stage: Stage) -> None:
        opened = asyncio.Event()
        stage.troupe.acts["execute seal"] = lambda _call: opened.wait()
        operation = await stage.lifecycle.coordinator.archive("digits", 1, ADA, Patience(), ANONYMOUS)
        with pytest.raises(Aborted) as busy:
            await move(stage, "train")
        assert (busy.value.reason, busy.value.metadata["holder"]) == ("VERSION_BUSY", operation.id)
        waiting = asyncio.create_task(move(stage, "train", patience=Patience(wait=DEADLINE)))
        opened.set()
        with pytest.raises(FailedPrecondition, match="digits:1 is archived"):
            await waiting

    async def test_contracts_that_know_states_alone_move_versions_by_the_same_table(self, stage: Stage) -> None:
        assert (await bring(stage, "training")).state == "training"
        with pytest.raises(FailedPrecondition) as refused:
            await bring(stage, "serving")
        assert refused.value.public == (
            "version digits:1 is training and cannot become serving: from training it can become archived, created, validating"
        )
        assert refused.value.metadata == {"state": "training", "allowed": "archived,created,validating"}

    async def test_a_wish_for_the_same_state_sets_the_condition_alone(self, stage: Stage) -> None:
        drifting = await bring(stage, "created", condition=DRIFT)
        assert drifting.condition is not None
        assert drifting.condition.reason == "DRIFT"
        assert await bring(stage, "created", condition=DRIFT) == drifting
        assert (await bring(stage, "created")).condition is None

    async def test_a_state_that_takes_several_steps_is_waited_for(self, stage: Stage) -> None:
        assert (await bring(stage, "archived")).state == "archived"
        assert stage.troupe.done("execute") == ["seal"]

    async def test_a_reporter_withdraws_only_what_it_reported(self, stage: Stage) -> None:
        report = stage.lifecycle.coordinator.report_condition
        await report(MODEL, 1, "inference/replica-1", DRIFT)
        await report(MODEL, 1, "inference/replica-2", replace(DRIFT, reason="RELOAD_FAILED", needs_attention=True))
        after = await report(MODEL, 1, "inference/replica-1", None)
        assert after.state == "created"
        assert after.condition is not None
        assert after.condition.reason == "RELOAD_FAILED"
        assert (await report(MODEL, 1, "inference/replica-2", None)).condition is None

    async def test_a_validation_that_passes_registers_and_keeps_its_report(self, stage: Stage) -> None:
        stage.troupe.results = {
            "verify_artifact": {"artifact_sha256": "ab" * 32},
            "evaluate": {"metrics": {"accuracy": 0.97}, "examples": 359},
        }
        assert (await validated(stage)).state is OperationState.SUCCEEDED
        assert await stage.states() == {1: "registered"}
        report = await stage.lifecycle.coordinator.report("digits", 1)
        assert report.passed
        assert (report.examples, report.metrics, report.artifact_sha256) == (359, {"accuracy": 0.97}, "ab" * 32)

    async def test_a_validation_that_falls_short_says_by_how_much_and_registers_nothing(self, stage: Stage) -> None:
        stage.troupe.results = {"evaluate": {"metrics": {"accuracy": 0.9}, "examples": 359}}
        ended = await validated(stage)
        assert ended.state is OperationState.COMPENSATED
        assert await stage.states() == {1: "created"}
        condition = (await stage.status(1)).condition
        assert condition is not None
        assert condition.reason == "VALIDATION_FAILED"
        assert "accuracy>=0.95 was asked for, and accuracy is 0.9" in condition.message
        report = await stage.lifecycle.coordinator.report("digits", 1)
        assert not report.passed

    async def test_what_was_never_validated_has_no_report(self, stage: Stage) -> None:
        with pytest.raises(NotFound, match="digits:1 was never validated"):
            await stage.lifecycle.coordinator.report("digits", 1)

    async def test_history_is_paged_and_filtered(self, stage: Stage) -> None:
        for _ in range(3):
            await move(stage, "train")
            await move(stage, "fail_training")
        await stage.lifecycle.coordinator.transition(
            "digits", 2, "train", condition=None, caller=Caller(actor="bob"), patience=Patience(), request=ANONYMOUS
        )
        history = stage.lifecycle.coordinator.history
        seen, token = [], ""
        while True:
            page = await history("digits", HistoryQuery(model_id="", version=1), PageRequest(size=3, token=token))
            seen += [row.sequence for row in page.items]
            if not (token := page.next_token):
                break
        assert seen == [7, 6, 5, 4, 3, 2, 1]
        by_bob = await history("digits", HistoryQuery(model_id="", actor="bob"), PageRequest())
        assert [(row.version, row.event) for row in by_bob.items] == [(2, "train"), (2, "create")]


async def move(
    stage: Stage,
    event: str,
    *,
    condition: Condition | None = None,
    patience: Patience = AT_ONCE,
    request: Request = ANONYMOUS,
) -> VersionStatus:
    return await stage.lifecycle.coordinator.transition(
        "digits", 1, event, condition=condition, caller=ADA, patience=patience, request=request
    )


async def bring(stage: Stage, state: str, *, condition: Condition | None = None) -> VersionStatus:
    return await stage.lifecycle.coordinator.move(
        "digits", 1, state, condition=condition, caller=ADA, patience=Patience(), request=ANONYMOUS
    )


async def validated(stage: Stage) -> Operation:
    wish = ValidationWish(evaluation_set_id="ts-1", label="digits:label", thresholds=(ACCURATE,))
    return await stage.ended(await stage.lifecycle.coordinator.validate("digits", 1, wish, ADA, Patience(), ANONYMOUS))
