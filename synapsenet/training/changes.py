"""Tells those who follow a job that it has changed, without anybody asking again and again."""

from __future__ import annotations

import asyncio


class Changes:
    """In one event loop: whoever expects a change of a job before looking at it misses none."""

    def __init__(self) -> None:
        self._expected: dict[str, asyncio.Event] = {}

    def expect(self, job_id: str) -> asyncio.Event:
        """An event that is set at the next change of the job."""
        return self._expected.setdefault(job_id, asyncio.Event())

    def announce(self, job_id: str) -> None:
        """The job has changed."""
        if event := self._expected.pop(job_id, None):
            event.set()
