"""The files of the history, for whoever copies them: immutable once they have their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_FILE = re.compile(r"[A-Za-z0-9_-]+/(\d{20})-\d{20}\.parquet")


def history_files(folder: Path, *, until: int) -> Sequence[str]:
    """The files, as paths below `folder`, of batches that begin at positions up to `until`; in order."""
    found = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.parquet"))
    return [name for name in found if (match := _FILE.fullmatch(name)) is not None and int(match[1]) <= until]


def is_history_file(name: str) -> bool:
    """Whether the history could have a file of that path."""
    return _FILE.fullmatch(name) is not None
