"""Live progress: bars where somebody looks, a line a step where a program does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Step:
    """One step under way; its owner says how far it is and, at the end, what came of it."""

    def __init__(self, bars: Progress | None, task: TaskID | None) -> None:
        self._bars = bars
        self._task = task
        self.result = ""

    def at(self, done: float, of: float, note: str = "") -> None:
        """`done` of `of` units, with a note such as the present loss."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, total=of, note=note)


class Telling:
    """Tells the steps of the demo on `console`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """One step inside a `with`: a bar while it goes on where there is a terminal, then one line with its result."""
        if self._console.is_terminal:
            columns = (
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=self._console, transient=True) as bars:
                step = Step(bars, bars.add_task(title, total=None, note=""))
                yield step
        else:
            step = Step(None, None)
            yield step
        self._console.print(f"[green]✓[/green] {title}: {step.result}", highlight=False, soft_wrap=True)
