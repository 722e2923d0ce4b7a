"""The files that a connection's security stands in, which may be replaced while it is open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_Signature = tuple[tuple[int, int, int] | None, ...]


class SecurityFiles:
    """Notices that files were replaced: by their times, sizes and inodes, so that asking reads none of them."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = tuple(Path(path) for path in paths)
        self._seen = self._signature()

    def have_changed(self) -> bool:
        """Whether any is another than at the last time this was asked; ask before reading them, to miss no later change."""
        before, self._seen = self._seen, self._signature()
        return self._seen != before

    def _signature(self) -> _Signature:
        return tuple(_state(path) for path in self._paths)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:  # between two names, or out of reach: whoever reads it will say so
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
