"""The page of the lifecycle: what is made from the table, and prose that is left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from synapsenet.lifecycle.machine import Rule, State, StateMachine
from synapsenet.lifecycle.saga import Saga, SagaCatalogue, Step
from synapsenet.lifecycle.sagas import SAGAS
from synapsenet.lifecycle.table import MACHINE
from tools.lifecycle_page import BEGIN, END, PAGE, limit, render, rewritten


def test_the_page_is_what_the_table_gives() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert rewritten(page, render(MACHINE, SAGAS)) == page


def test_a_new_row_is_a_new_line_in_tables_and_diagram() -> None:
    states = (
        State(name="new", description="It begins."),
        State(name="busy", description="It is worked on.", timeout=timedelta(minutes=90)),
        State(name="gone", description="It is over.", is_final=True),
    )
    rules = (
        Rule(source="new", event="work", target="busy", saga="work", guards=("rested",), description="Work begins."),
        Rule(source="busy", event="fail", target="new", is_failure=True, description="It did not | work."),
        Rule(source="busy", event="end", target="gone", by_saga=True, description="It worked."),
    )
    step = Step(
        name="dig", participant="inference", action="Dig.", compensation="Fill.", timeout=timedelta(seconds=45), attempts=2
    )
    sagas = SagaCatalogue([Saga(name="work", version=version, steps=(step,), ends_with="end") for version in (1, 2)])
    part = render(StateMachine(states, rules, initial="new", guards={"rested"}, sagas=sagas), sagas)
    assert "    new --> busy: work [work]\n" in part
    assert "    busy --> new: ✗ fail\n" in part
    assert "| `busy` | It is worked on. | 90 min | `fail` |\n" in part
    assert "| `new` | `work` | `busy` | `rested` | `work` | Work begins. |\n" in part
    assert "| `busy` | `fail` | `new` |  |  | It did not \\| work. |\n" in part
    assert "| `busy` | `end` (a saga's end) | `gone` |  |  | It worked. |\n" in part
    assert "**`work`**, version 1\n" in part
    assert "**`work`**, version 2\n" in part
    assert "| `dig` | inference | Dig. | Fill. | 45 s | 2 |\n" in part


def test_prose_stays_as_it_is() -> None:
    page = f"above\n{BEGIN}old\n{END}below\n"
    assert rewritten(page, "new") == f"above\n{BEGIN}\nnew\n{END}below\n"


@pytest.mark.parametrize("page", ["no markers\n", f"{BEGIN}only one\n", f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="must each be there once"):
        rewritten(page, "new")


@pytest.mark.parametrize(
    ("time", "shown"), [(None, ""), (timedelta(days=7), "7 d"), (timedelta(hours=1), "1 h"), (timedelta(seconds=0.5), "0.5 s")]
)
def test_times_read_as_people_write_them(time: timedelta | None, shown: str) -> None:
    assert limit(time) == shown
