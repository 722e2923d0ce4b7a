"""Which state may follow which, and what a move does to a version."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from synapsenet.errors import Aborted, FailedPrecondition, InvalidArgument
from synapsenet.registry.model import Condition, State
from synapsenet.registry.moves import MOVES, NEEDS_ARTIFACT, Move
from synapsenet.testing.clock import NOON
from synapsenet.testing.registry import artifact, version

LATER = NOON + timedelta(hours=1)
PAGE = Path(__file__).parents[3] / "docs" / "models.md"
LIFE = [State.TRAINING, State.VALIDATING, State.REGISTERED, State.DEPLOYING, State.SERVING, State.DEPRECATED, State.ARCHIVED]


def test_every_state_has_its_moves_and_only_archived_has_none() -> None:
    assert set(MOVES) == set(State)
    assert [state for state, targets in MOVES.items() if not targets] == [State.ARCHIVED]


def test_the_documentation_shows_the_table_as_it_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for source, targets in MOVES.items():
        shown = ", ".join(f"`{target}`" for target in State if target in targets) or "nothing"
        assert f"| `{source}` | {shown} |" in page


def test_a_version_goes_through_its_whole_life() -> None:
    moving = replace(version(), artifact=artifact())
    for state in LIFE:
        moving = Move(to=state).applied(moving, LATER)
    assert (moving.state, moving.revision, moving.updated_at) == (State.ARCHIVED, 8, LATER)


@pytest.mark.parametrize("source", State)
@pytest.mark.parametrize("target", State)
def test_a_move_is_made_exactly_if_the_table_has_it(source: State, target: State) -> None:
    there = replace(version(state=source), artifact=artifact())
    if target in MOVES[source] or target is source:
        assert Move(to=target).applied(there, LATER).state is target
        return
    with pytest.raises(FailedPrecondition) as refusal:
        Move(to=target).applied(there, LATER)
    assert refusal.value.reason == "MOVE_NOT_ALLOWED"
    assert refusal.value.metadata == {"state": source, "allowed": ",".join(sorted(MOVES[source]))}


@pytest.mark.parametrize("target", sorted(NEEDS_ARTIFACT - {State.DEPLOYING, State.SERVING}))
def test_no_version_gets_on_without_its_artifact(target: State) -> None:
    source = next(source for source, targets in MOVES.items() if target in targets)
    with pytest.raises(FailedPrecondition) as refusal:
        Move(to=target).applied(version(state=source), LATER)
    assert refusal.value.reason == "ARTIFACT_MISSING"


def test_the_state_that_a_version_has_is_no_move() -> None:
    there = version(state=State.TRAINING)
    assert Move(to=State.TRAINING).applied(there, LATER) is there


def test_a_condition_is_set_without_a_move_and_keeps_its_beginning_when_it_is_repeated() -> None:
    failing = Move(to=State.SERVING, condition=Condition(reason="RELOAD_FAILED"))
    well = replace(version(state=State.SERVING), artifact=artifact())
    ill = failing.applied(well, NOON)
    assert ill.condition == Condition(reason="RELOAD_FAILED", since=NOON)
    assert failing.applied(ill, LATER) is ill
    assert Move(to=State.SERVING).applied(ill, LATER).condition is None


def test_a_move_based_on_an_older_state_is_refused() -> None:
    with pytest.raises(Aborted) as refusal:
        Move(to=State.TRAINING, etag="r1").applied(replace(version(), revision=2), LATER)
    assert refusal.value.reason == "VERSION_CHANGED"


def test_a_version_that_an_alias_points_to_is_not_archived() -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        Move(to=State.ARCHIVED).applied(replace(version(), aliases=("champion",)), LATER)
    assert refusal.value.reason == "VERSION_HAS_ALIASES"
    assert "champion" in refusal.value.public


def test_a_condition_says_something() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        Condition(reason="")
    assert refusal.value.field == "condition.reason"
