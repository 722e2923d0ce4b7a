"""Where the parts of a recording lie, how they are written, and their digests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

PRE_MIGRATION = Path(__file__).parent / "pre_migration"
"""The recording that later releases must replay."""

DESCRIPTORS = "descriptors.binpb"
CALLS = "calls"
TRAJECTORIES = "trajectories"
CONVERSATIONS = "conversations"
SCHEMAS = "schemas"
SUMS = "SHA256SUMS"


def write_json(path: Path, content: Any) -> None:
    """`content` for people and for diffs: one indentation, keys in alphabetical order, every float to its last bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def sums(folder: Path) -> str:
    """The SHA-256 of every file below `folder` but the sums themselves, in the format of sha256sum, by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in files)
    return "".join(lines)
