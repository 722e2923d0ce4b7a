"""Tells those who follow a job that it has changed, without anybody asking again and again."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class Changes:
    """In one event loop: whoever expects a change of a job before looking at it misses none."""

    def __init__(self) -> None:
        # An event lives as long as somebody waits for it: most jobs never change again, and an id may be of no job at all.
        self._expected: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    def expect(self, job_id: str) -> asyncio.Event:
        """An event that is set at the next change of the job."""
        if (event := self._expected.get(job_id)) is None:
            event = self._expected[job_id] = asyncio.Event()
        return event

    def announce(self, job_id: str) -> None:
        """The job has changed."""
        if event := self._expected.pop(job_id, None):
            event.set()
