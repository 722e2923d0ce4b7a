"""The page of models shows how states follow on each other in the registry's contract: as the coordinator's table has it."""

from __future__ import annotations

from pathlib import Path

from synapsenet.lifecycle.table import MACHINE
from synapsenet.registry.model import State

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def test_every_original_state_is_one_of_the_registrys_and_the_other_way_round() -> None:
    assert {state.original for state in MACHINE.states.values()} == set(State)


def test_the_page_shows_the_moves_that_the_table_has() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for state in State:
        targets = MACHINE.original_targets(state)
        shown = ", ".join(f"`{target}`" for target in State if target in targets) or "nothing"
        assert f"| `{state}` | {shown} |" in page
