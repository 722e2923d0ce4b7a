"""Counters that no restore of etcd sets back."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from pathlib import Path


class Counters:
    """In memory, for one process."""

    def __init__(self) -> None:
        self._counters: Counter[str] = Counter()

    async def raised(self, name: str, *, above: int) -> int:
        self._counters[name] = max(self._counters[name], above) + 1
        return self._counters[name]


class FileCounters:
    """One counter in a file that several processes share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def raised(self, name: str, *, above: int) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            raised = max(int(os.pread(descriptor, 32, 0) or b"0"), above) + 1
            os.pwrite(descriptor, b"%d" % raised, 0)
            return raised
        finally:
            os.close(descriptor)
