"""What people type: `KEY=VALUE` pairs, instants, durations, typed values and files of rows."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import typer

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """`["a=1", "b=2"]` by key.

    Raises:
        typer.BadParameter: one has no `=`, or a key comes twice.
    """
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{text!r} is no KEY=VALUE", param_hint=option)
        if key in found:
            raise typer.BadParameter(f"{key} is given twice", param_hint=option)
        found[key] = value
    return found


def numbers(option: str, given: Iterable[str]) -> dict[str, float]:
    """`["accuracy=0.97"]` by key, as numbers."""
    found: dict[str, float] = {}
    for key, text in pairs(option, given).items():
        try:
            found[key] = float(text)
        except ValueError:
            raise typer.BadParameter(f"{key}={text}: {text!r} is no number", param_hint=option) from None
    return found


def shares(option: str, given: Iterable[str]) -> dict[int, float]:
    """`["1=0.9", "2=0.1"]`: fractions by version.

    Raises:
        typer.BadParameter: a version is no number, or a fraction is none.
    """
    found: dict[int, float] = {}
    for version, fraction in numbers(option, given).items():
        if not version.isdecimal():
            raise typer.BadParameter(f"{version!r} is no version's number", param_hint=option)
        found[int(version)] = fraction
    return found


def titled(text: str, *, option: str = "NAME:VERSION") -> tuple[str, int]:
    """`digits:2`: the model, and the version's number.

    Raises:
        typer.BadParameter: there is no number behind a colon.
    """
    model, _, version = text.rpartition(":")
    if not (model and version.isdecimal()):
        raise typer.BadParameter(f"{text!r} is no NAME:VERSION, such as digits:2", param_hint=option)
    return model, int(version)


def scalars(option: str, given: Iterable[str]) -> dict[str, Any]:
    """`["lr=0.1", "optimizer=sgd", "nesterov=true"]` by key: numbers and truth values where they read as such, else texts."""
    return {key: _scalar(text) for key, text in pairs(option, given).items()}


def seconds(option: str, text: str) -> float:
    """`1.5`, `90s`, `5m`, `2h`, `250ms` in seconds.

    Raises:
        typer.BadParameter: it is none of these.
    """
    for unit in sorted(_SECONDS, key=len, reverse=True):
        if text.endswith(unit):
            return _number(option, text.removesuffix(unit)) * _SECONDS[unit]
    return _number(option, text)


def instant(option: str, text: str) -> datetime:
    """An RFC 3339 instant such as `2026-01-31T12:00:00Z`; without an offset it is UTC.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no instant: write 2026-01-31T12:00:00Z", param_hint=option) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def structure(option: str, text: str) -> Any:
    """JSON itself, or `@FILE` that holds it.

    Raises:
        typer.BadParameter: it is no JSON, or the file cannot be read.
    """
    try:
        return json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except OSError as problem:
        raise typer.BadParameter(f"{text[1:]} cannot be read ({problem.strerror})", param_hint=option) from None
    except ValueError as problem:
        raise typer.BadParameter(f"{text[:60]!r} is no JSON ({problem})", param_hint=option) from None


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a `.csv`, `.json` (a list of objects) or `.ndjson`/`.jsonl` file; `-` is NDJSON on stdin.

    Raises:
        typer.BadParameter: the file cannot be read as what its suffix says.
    """
    readers: dict[str, Callable[[TextIO], Iterable[dict[str, Any]]]] = {
        ".csv": csv.DictReader,
        ".json": json.load,
        ".ndjson": _lines,
        ".jsonl": _lines,
    }
    reader = _lines if str(path) == "-" else readers.get(path.suffix)
    if reader is None:
        raise typer.BadParameter(f"{path}: its kind is unknown: name a .csv, .json, .ndjson or .jsonl file", param_hint="FILE")
    try:
        file = sys.stdin if str(path) == "-" else path.open(newline="")
    except OSError as problem:
        raise typer.BadParameter(f"{path}: it cannot be read ({problem.strerror})", param_hint="FILE") from None
    return _read(path, file, reader)


def _read(path: Path, file: TextIO, reader: Callable[[TextIO], Iterable[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    try:
        with file:
            yield from reader(file)
    except (OSError, ValueError, csv.Error) as problem:
        raise typer.BadParameter(f"{path}: it cannot be read ({problem})", param_hint="FILE") from None


def batched(rows: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def converted(name: str, values: Sequence[Any], kind: str) -> list[Any]:
    """One column of rows in Python's type for a feature type such as INT64 or FLOAT[64]; "" and null become None.

    Raises:
        typer.BadParameter: a value does not read as `kind`.
    """
    element = kind.partition("[")[0]
    readers: dict[str, Callable[[Any], Any]] = {
        "BOOL": lambda value: value if isinstance(value, bool) else {"true": True, "false": False}[str(value).lower()],
        "INT32": int, "INT64": int, "FLOAT": float, "DOUBLE": float,
        "STRING": str, "BYTES": lambda value: str(value).encode(),
        "TIMESTAMP": lambda value: instant(name, str(value)),
    }  # fmt: skip
    read = readers[element]

    def one(value: Any) -> Any:
        if value is None or (value == "" and element != "STRING"):
            return None
        if "[" in kind:
            return [read(part) for part in (json.loads(value) if isinstance(value, str) else value)]
        return read(value)

    try:
        return [one(value) for value in values]
    except (ValueError, TypeError, KeyError) as problem:
        raise typer.BadParameter(f"{name}: a value is no {kind} ({problem})", param_hint="FILE") from None


def _lines(file: TextIO) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in file if line.strip())


def _scalar(text: str) -> Any:
    if text in {"true", "false"}:
        return text == "true"
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no duration: write 30s, 5m, 2h or 250ms", param_hint=option) from None
