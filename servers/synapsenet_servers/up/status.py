"""What people see of a running cluster: a live table on a terminal, one line a change elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from synapsenet_servers.children.supervisor import ChildState, ChildStatus

_REFRESHES_PER_S = 2
_COLOURS = {
    ChildState.STARTING: "yellow",
    ChildState.RUNNING: "green",
    ChildState.BACKOFF: "red",
    ChildState.STOPPING: "yellow",
    ChildState.ENDED: "red",
}
_HEADINGS = ("process", "role", "state", "pid", "uptime", "restarts", "address")
_AT_THE_RIGHT = ("pid", "uptime", "restarts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a process is for, and where it is found.

    Attributes:
        role: of the platform; or the server of others that it runs.
        address: `host:port`, or what clients take instead.
    """

    role: str
    address: str


def table(places: Mapping[str, Place], children: Sequence[ChildStatus]) -> Table:
    """One row for each of `places` that has a child, in their order."""
    found = {child.name: child for child in children}
    drawn = Table(title="SynapseNet", title_justify="left")
    for heading in _HEADINGS:
        drawn.add_column(heading, justify="right" if heading in _AT_THE_RIGHT else "left", no_wrap=True)
    for name, place in places.items():
        child = found.get(name)
        state = child.state if child else ChildState.ENDED
        drawn.add_row(
            name,
            place.role,
            f"[{_COLOURS[state]}]{state}[/]",
            str(child.pid) if child and child.pid else "",
            _spell_seconds(child.up) if child and child.up is not None else "",
            str(child.restarts) if child else "",
            place.address,
        )
    return drawn


def line(places: Mapping[str, Place], child: ChildStatus) -> str:
    """One change of state, in words that stay the same for programs: `state  process  role  pid  restarts  address`."""
    place = places.get(child.name, Place(role=child.name, address=""))
    pid = child.pid or "-"
    return (
        f"{child.state:<9} {child.name:<13} {place.role:<11} pid {pid:<8} restarts {child.restarts:<3} {place.address}".rstrip()
    )


def _spell_seconds(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


class Telling:
    """Tells people of the processes, by the live table on a terminal, else by lines: on stderr until the cluster is ready.

    Args:
        console: stdout.
        early: stderr.
    """

    def __init__(self, console: Console, early: IO[str]) -> None:
        self._console = console
        self._lines = early
        self.places: Mapping[str, Place] = {}

    def begin(self) -> None:
        """The cluster is ready, and its addresses have been told."""
        self._lines = self._console.file

    def changed(self, child: ChildStatus) -> None:
        """A process entered a state."""
        if not self._console.is_terminal:
            with suppress(OSError):  # nobody reads any more: a reason for rich to exit, not for us
                print(line(self.places, child), file=self._lines, flush=True)

    @contextmanager
    def table(self, children: Callable[[], Sequence[ChildStatus]]) -> Iterator[None]:
        """On a terminal, the live table inside a `with`."""
        if not self._console.is_terminal:
            yield
            return
        with Live(
            get_renderable=lambda: table(self.places, children()), console=self._console, refresh_per_second=_REFRESHES_PER_S
        ):
            yield
