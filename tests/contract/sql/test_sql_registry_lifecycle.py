"""The registry asks its coordinator and shows what that says, whatever goes wrong between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.sql.registry import SqlRegistryWork, metadata
from synapsenet.errors import Aborted, AlreadyExists, FailedPrecondition, Unavailable
from synapsenet.platform.records import decode
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.registry.events import VersionMoved
from synapsenet.registry.model import Condition, State, VersionChange, VersionWish
from synapsenet.registry.moves import Move
from synapsenet.registry.standing import Standing
from synapsenet.testing.artifacts import stream
from synapsenet.testing.clock import NOON, FakeClock
from synapsenet.testing.registry import DIGITS
from synapsenet.testing.registry_lifecycle import AWAY, CHANGED, NOT_ALLOWED
from tests.contract.databases import OpenRecords
from tests.contract.sql.registry_stage import TENSORS, Stage, stage, tensors

TRAIN = Move(to=State.TRAINING, reason="begun")
ONCE = Request("r", b"digest")
DRIFT = Condition(reason="DRIFT", message="inputs have moved", operation_id="op-1", needs_attention=True)


@pytest.fixture
async def here(records: OpenRecords, tmp_path: Path) -> AsyncIterator[Stage]:
    clock = FakeClock()
    async with records("registry", metadata=metadata, unit=SqlRegistryWork, clock=clock) as work:
        yield stage(work, open_artifacts(tmp_path / "artifacts"), clock)


def told(sequence: int, state: State = State.TRAINING, condition: Condition | None = None) -> Standing:
    return Standing(state=state, condition=condition, sequence=sequence, changed_at=NOON)


async def test_a_new_version_is_made_known_to_the_coordinator(here: Stage) -> None:
    await here.create()
    assert here.lifecycle.asked == 1
    assert (await here.registry.version("digits", 1)).sequence == 1


async def test_a_version_is_created_and_read_while_the_coordinator_is_away_and_is_not_moved(here: Stage) -> None:
    here.lifecycle.failures = [AWAY, AWAY]
    created = await here.create()
    with pytest.raises(Unavailable) as refusal:
        await here.registry.move_version("digits", 1, TRAIN, ANONYMOUS)
    assert refusal.value.reason == "PEER_UNAVAILABLE"
    assert await here.registry.version("digits", 1) == created
    assert (await here.registry.move_version("digits", 1, TRAIN, ANONYMOUS)).state is State.TRAINING


async def test_a_move_that_is_granted_is_one_update_and_one_event(here: Stage) -> None:
    created = await here.create()
    await here.clock.advance(1)
    moved = await here.registry.move_version("digits", 1, TRAIN, ANONYMOUS)
    assert moved == replace(created, state=State.TRAINING, revision=2, updated_at=here.clock.now())
    assert await here.registry.version("digits", 1) == moved
    event = decode(VersionMoved, (await here.events(2))[1].payload)
    assert (event.old, event.new, event.reason) == (State.CREATED, State.TRAINING, "begun")


async def test_a_state_that_the_version_has_is_no_update(here: Stage) -> None:
    await here.create()
    moved = await here.registry.move_version("digits", 1, TRAIN, ANONYMOUS)
    assert await here.registry.move_version("digits", 1, TRAIN, ANONYMOUS) == moved


async def test_a_repeated_request_is_answered_from_memory_and_another_body_is_refused(here: Stage) -> None:
    await here.create()
    first = await here.registry.move_version("digits", 1, TRAIN, ONCE)
    await here.registry.move_version("digits", 1, Move(to=State.CREATED), ANONYMOUS)
    asked = here.lifecycle.asked
    assert await here.registry.move_version("digits", 1, TRAIN, ONCE) == first
    assert here.lifecycle.asked == asked
    with pytest.raises(AlreadyExists):
        await here.registry.move_version("digits", 1, TRAIN, Request("r", b"another"))


async def test_a_retry_whose_first_attempt_was_carried_out_unheard_is_no_second_move(here: Stage) -> None:
    await here.create()
    careful = replace(TRAIN, etag="r1")
    here.lifecycle.lost_answers = 1
    with pytest.raises(Unavailable):
        await here.registry.move_version("digits", 1, careful, ONCE)
    await here.registry.keep_standing(DIGITS.id, 1, told(2))  # the coordinator brings it by itself
    moved = await here.registry.move_version("digits", 1, careful, ONCE)
    assert (moved.state, moved.revision) == (State.TRAINING, 2)
    assert here.lifecycle.moves[0] == here.lifecycle.moves[1]


async def test_a_move_based_on_what_the_version_no_longer_is_reaches_nobody(here: Stage) -> None:
    await here.create()
    await here.registry.update_version("digits", 1, VersionChange(description="new"), ANONYMOUS)
    with pytest.raises(Aborted) as refusal:
        await here.registry.move_version("digits", 1, replace(TRAIN, etag="r1"), ANONYMOUS)
    assert (refusal.value.reason, refusal.value.metadata["etag"]) == ("VERSION_CHANGED", "r2")
    assert here.lifecycle.moves == []


async def test_who_based_a_move_on_a_state_hears_that_the_coordinator_has_moved_on(here: Stage) -> None:
    await here.create()
    here.lifecycle.failures = [CHANGED]
    with pytest.raises(Aborted, match="updated since etag r1 was read") as refusal:
        await here.registry.move_version("digits", 1, replace(TRAIN, etag="r1"), ANONYMOUS)
    assert refusal.value.reason == "VERSION_CHANGED"


async def test_a_move_based_on_nothing_is_asked_for_again_but_not_for_ever(here: Stage) -> None:
    await here.create()
    here.lifecycle.failures = [CHANGED, CHANGED]
    assert (await here.registry.move_version("digits", 1, TRAIN, ANONYMOUS)).state is State.TRAINING
    here.lifecycle.failures = [CHANGED] * 9
    with pytest.raises(Aborted):
        await here.registry.move_version("digits", 1, Move(to=State.CREATED), ANONYMOUS)
    assert len(here.lifecycle.failures) == 6


async def test_what_is_older_than_what_is_shown_changes_nothing(here: Stage) -> None:
    await here.create()
    await here.registry.keep_standing(DIGITS.id, 1, told(5))
    shown = await here.registry.version("digits", 1)
    for late in (told(4, State.CREATED), told(5, State.CREATED)):
        await here.registry.keep_standing(DIGITS.id, 1, late)
    assert await here.registry.version("digits", 1) == shown
    assert (shown.state, shown.revision) == (State.TRAINING, 2)


async def test_news_without_another_state_or_condition_is_no_update(here: Stage) -> None:
    await here.create()
    await here.registry.keep_standing(DIGITS.id, 1, told(5))
    shown = await here.registry.version("digits", 1)
    await here.registry.keep_standing(DIGITS.id, 1, told(9))
    heard = await here.registry.version("digits", 1)
    assert (heard, heard.sequence) == (shown, 9)


async def test_a_late_word_does_not_set_the_time_back(here: Stage) -> None:
    await here.create()
    await here.clock.advance(60)
    updated = await here.registry.update_version("digits", 1, VersionChange(description="new"), ANONYMOUS)
    await here.registry.keep_standing(DIGITS.id, 1, told(5))
    assert (await here.registry.version("digits", 1)).updated_at == updated.updated_at == NOON + timedelta(minutes=1)


async def test_operations_of_the_coordinators_own_stand_in_its_contract_alone(here: Stage) -> None:
    await here.create()
    await here.registry.keep_standing(DIGITS.id, 1, told(5, condition=replace(DRIFT, since=NOON)))
    shown = await here.registry.version("digits", 1)
    assert shown.condition == replace(DRIFT, operation_id="", since=NOON)


async def test_an_operation_that_a_caller_names_is_shown_to_callers(here: Stage) -> None:
    await here.create()
    failing = replace(TRAIN, condition=DRIFT)
    moved = await here.registry.move_version("digits", 1, failing, ANONYMOUS)
    assert (moved.condition, moved.revision) == (replace(DRIFT, since=NOON), 2)
    await here.registry.keep_standing(DIGITS.id, 1, told(9, condition=replace(DRIFT, since=NOON)))
    assert await here.registry.version("digits", 1) == moved
    await here.registry.keep_standing(DIGITS.id, 1, told(10))
    well = await here.registry.version("digits", 1)
    assert (well.condition, well.revision) == (None, 3)


async def test_a_state_without_words_here_is_shown_once_it_comes_in_words(here: Stage) -> None:
    created = await here.create()
    here.lifecycle.speechless = True
    assert await here.registry.move_version("digits", 1, TRAIN, ANONYMOUS) == created


async def test_an_upload_is_one_update_with_the_state_that_it_brings(here: Stage) -> None:
    created = await here.create()
    uploaded = await here.upload()
    assert (uploaded.state, uploaded.revision, uploaded.offered) == (State.VALIDATING, created.revision + 1, False)
    kinds = [event.type for event in await here.events(3)]
    assert kinds == ["VersionCreated", "ArtifactUploaded", "VersionMoved"]


async def test_an_upload_whose_coordinator_goes_away_is_finished_by_repeating_it_without_a_byte(here: Stage) -> None:
    await here.create()
    here.lifecycle.lost_answers = 1
    with pytest.raises(Unavailable):
        await here.upload()
    waiting = await here.registry.version("digits", 1)
    assert (waiting.artifact is not None, waiting.revision) == (True, 1)
    uploaded = await here.registry.upload(tensors(), stream())
    assert (uploaded.state, uploaded.revision) == (State.VALIDATING, 2)


async def test_no_byte_is_read_for_a_version_that_takes_none(here: Stage) -> None:
    await here.create()
    here.lifecycle.accepting = False
    with pytest.raises(FailedPrecondition) as refusal:
        await here.registry.upload(tensors(), stream())
    assert refusal.value.reason == "ARTIFACT_NOT_ACCEPTED"
    here.lifecycle.failures = [AWAY]
    with pytest.raises(Unavailable):
        await here.registry.upload(tensors(), stream())


async def test_an_artifact_that_comes_too_late_is_kept_and_refused(here: Stage) -> None:
    await here.create()

    async def overtaken() -> AsyncIterator[bytes]:
        here.lifecycle.failures = [NOT_ALLOWED]
        yield TENSORS

    with pytest.raises(FailedPrecondition) as refusal:
        await here.registry.upload(tensors(), overtaken())
    assert refusal.value.reason == "ARTIFACT_NOT_ACCEPTED"
    late = await here.registry.version("digits", 1)
    assert (late.artifact is not None, late.offered, late.revision) == (True, False, 2)


async def test_the_same_upload_twice_at_once_is_one_update(here: Stage) -> None:
    await here.create()
    one, other = await asyncio.gather(here.upload(), here.upload())
    assert one == other
    assert (one.state, one.revision) == (State.VALIDATING, 2)


async def test_a_creation_that_is_repeated_is_made_known_again(here: Stage) -> None:
    here.lifecycle.failures = [AWAY]
    wish = VersionWish(model="digits")
    first = await here.registry.create_version(wish, ONCE)
    assert await here.registry.create_version(wish, ONCE) == first
    assert (await here.registry.version("digits", 1)).sequence == 1
