"""The log files that children write: appended to, bounded in size, and asked for a child's last words."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO


def open_log(log: Path, *, limit: int) -> BinaryIO:
    """Open `log` for a child to append to; one that has passed `limit` bytes is kept as `NAME.1` and begun anew."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > limit:
        log.replace(_kept(log))
    return log.open("ab", buffering=0)


def bound_log(log: Path, *, limit: int) -> None:
    """Do the same to a log that a child has open: copied, then emptied under it.

    The child goes on at the beginning because its descriptor appends. What it writes between the two is lost, which is
    the price of not standing between a child and its log. Where no copy can be kept, on a full disk say, none is.
    """
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > limit:
            with contextlib.suppress(OSError):
                shutil.copyfile(log, _kept(log))
            os.truncate(log, 0)


def last_words(log: Path, *, limit: int = 2048) -> str:
    """The end of `log`, at most `limit` bytes, from the start of a line."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            text = file.read(limit).decode(errors="replace")
    except OSError:
        return ""
    whole = text if size <= limit else text.partition("\n")[2]
    return whole.strip()


def _kept(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")
