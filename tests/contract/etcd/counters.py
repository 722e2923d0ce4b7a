"""Counters that no restore of etcd sets back, in memory."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator


class Counters:
    """Each name's own numbers from `first`."""

    def __init__(self, first: int = 1) -> None:
        self._counters: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(first))

    async def raised(self, name: str) -> int:
        return next(self._counters[name])
