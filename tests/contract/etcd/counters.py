"""Counters that no restore of etcd sets back."""

from __future__ import annotations

import fcntl
import itertools
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path


class Counters:
    """In memory, for one process."""

    def __init__(self) -> None:
        self._counters: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    async def raised(self, name: str) -> int:
        return next(self._counters[name])


class FileCounters:
    """One counter in a file that several processes share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def raised(self, name: str) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            raised = int(os.pread(descriptor, 32, 0) or b"0") + 1
            os.pwrite(descriptor, b"%d" % raised, 0)
            return raised
        finally:
            os.close(descriptor)
