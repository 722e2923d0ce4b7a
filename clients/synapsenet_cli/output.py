"""What a person or a program reads: tables and bars, or one JSON object, or one JSON object a line for streams."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from google.protobuf.message import Message

Columns = Mapping[str, Callable[[Any], object]]
"""Header to what stands below it, for one item."""

_PIPE_WIDTH = 10_000


class Output:
    """Writes results to stdout and progress to stderr.

    Args:
        as_json: JSON instead of tables; nothing but JSON then goes to stdout.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def record(self, message: Message | Mapping[str, Any]) -> None:
        """One thing: its fields."""
        data = plain(message)
        if self.as_json:
            _write(json.dumps(data))
            return
        from rich.table import Table

        table = Table(box=None, show_header=False, pad_edge=False)
        for name, value in data.items():
            if value not in (None, "", [], {}):
                table.add_row(name, _cell(value))
        _print(table)

    def table(self, key: str, items: Iterable[Any], columns: Columns, *, extra: Mapping[str, Any] | None = None) -> None:
        """Several things of a kind: `{key: [...], **extra}` as JSON, else a table and `extra` below it."""
        listed = list(items)
        if self.as_json:
            _write(json.dumps({key: [plain(item) for item in listed], **(extra or {})}))
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for header in columns:
            table.add_column(header)
        for item in listed:
            table.add_row(*(_cell(column(item)) for column in columns.values()))
        _print(table)
        for name, value in (extra or {}).items():
            _write(f"{name}: {_cell(value)}")

    def line(self, item: Any, text: str) -> None:
        """One of a stream: a JSON object a line, else `text`."""
        _write(json.dumps(plain(item)) if self.as_json else text, flush=True)

    def said(self, text: str, **facts: Any) -> None:
        """That something was done."""
        _write(json.dumps(facts) if self.as_json else text)

    @contextmanager
    def bar(self, description: str) -> Generator[Callable[[int, int], None]]:
        """A progress bar on stderr, to be told what is done and what there is in all; silent unless stderr is a terminal."""
        if self.as_json or not sys.stderr.isatty():
            yield lambda done, total: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(description, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)


def plain(item: Any) -> Any:
    """A message, or what contains messages, as JSON has it: fields spelled as in the contract, as HTTP answers them."""
    if isinstance(item, Mapping):
        return {str(key): plain(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [plain(value) for value in item]
    if hasattr(item, "tolist"):
        return plain(item.tolist())
    if hasattr(item, "DESCRIPTOR"):
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(item, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    if isinstance(item, bytes):
        return item.decode(errors="replace")
    if isinstance(item, float) and not math.isfinite(item):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(item)]
    return item


def complain(text: str, *, stream: TextIO | None = None) -> None:
    """One sentence on stderr."""
    (stream or sys.stderr).write(f"error: {text}\n")


def _write(text: str, *, flush: bool = False) -> None:
    sys.stdout.write(f"{text}\n")
    if flush:
        sys.stdout.flush()


def _print(renderable: Any) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(renderable)


def _cell(value: object) -> str:
    from rich.markup import escape

    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping | list | tuple):
        return escape(json.dumps(plain(value)))
    return escape(str(value))
