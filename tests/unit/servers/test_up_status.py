"""What `synapsenet up` shows of its processes."""

from __future__ import annotations

import io

from rich.console import Console

from synapsenet_servers.children.supervisor import ChildState, ChildStatus
from synapsenet_servers.up.status import Place, Telling, line, table

PLACES = {
    "etcd": Place(role="backend", address="127.0.0.1:2379"),
    "models": Place(role="models", address="unix:/run/models.sock"),
}
RUNNING = ChildStatus(name="models", state=ChildState.RUNNING, pid=42, restarts=3, up=3_723.9)
AWAY = ChildStatus(name="models", state=ChildState.BACKOFF, pid=None, restarts=3, up=None)


def drawn(*children: ChildStatus) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(table(PLACES, children))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def told(*, terminal: bool) -> tuple[str, str]:
    """What stdout and stderr get of a change before the cluster is ready and of one after."""
    out, early = io.StringIO(), io.StringIO()
    telling = Telling(Console(file=out, force_terminal=terminal), early)
    telling.places = PLACES
    telling.changed(RUNNING)
    telling.begin()
    telling.changed(AWAY)
    return out.getvalue(), early.getvalue()


def test_the_table_has_one_row_a_process_in_the_order_of_their_start() -> None:
    rows = drawn(RUNNING)[4:-1]
    assert [[cell.strip() for cell in row.strip("│").split("│")] for row in rows] == [
        ["etcd", "backend", "ended", "", "", "", "127.0.0.1:2379"],
        ["models", "models", "running", "42", "1:02:03", "3", "unix:/run/models.sock"],
    ]


def test_a_process_that_waits_for_its_next_start_has_neither_pid_nor_uptime() -> None:
    assert [cell.strip() for cell in drawn(AWAY)[5].strip("│").split("│")][2:6] == ["backoff", "", "", "3"]


def test_a_change_is_one_line_that_programs_can_read() -> None:
    assert line(PLACES, RUNNING).split() == [
        "running",
        "models",
        "models",
        "pid",
        "42",
        "restarts",
        "3",
        "unix:/run/models.sock",
    ]
    assert line(PLACES, AWAY).split()[:5] == ["backoff", "models", "models", "pid", "-"]


def test_changes_go_to_stderr_until_the_cluster_is_ready_and_to_stdout_from_then_on() -> None:
    out, early = told(terminal=False)
    assert early.startswith("running")
    assert out.startswith("backoff")


def test_a_terminal_has_the_table_instead_of_lines() -> None:
    assert told(terminal=True) == ("", "")


def test_a_reader_who_is_gone_ends_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    telling = Telling(Console(file=Gone()), Gone())
    telling.changed(RUNNING)
    telling.begin()
    telling.changed(AWAY)
