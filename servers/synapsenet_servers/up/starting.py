"""Processes in waves: each wave is started together, once the one before is ready, and the last wave is stopped first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from synapsenet.errors import SynapseError, Unavailable
from synapsenet_servers.children.logs import last_words
from synapsenet_servers.children.supervisor import Child, ChildSpec, Exit, Supervisor


class Waves:
    """The processes of one cluster while they run.

    Args:
        supervisor: starts them, and starts again those that die.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._children: list[Child] = []
        self._grace: float | None = None
        self._hurrying: list[asyncio.Future[Exit]] = []

    @asynccontextmanager
    async def wave(self, *groups: Sequence[ChildSpec]) -> AsyncIterator[None]:
        """Start `groups` together; inside the `async with` all are ready, after it none is left: the last group ends first.

        Raises:
            FailedPrecondition: PROGRAM_MISSING.
            Unavailable: CHILD_NOT_READY, with the last line that it said; CHILD_NOT_STARTED.
        """
        starting = [[asyncio.ensure_future(self._start(spec)) for spec in specs] for specs in groups]
        try:
            await asyncio.gather(*(one for group in starting for one in group))
            yield
        finally:
            for group in reversed(starting):
                await self._end(group)

    def hurry(self) -> None:
        """End all of them at once."""
        self._grace = 0.0
        self._hurrying = [asyncio.ensure_future(child.stop(0)) for child in self._children]

    async def _start(self, spec: ChildSpec) -> Child:
        try:
            child = await self._supervisor.start(spec)
        except SynapseError as error:
            raise _with_last_line(error, spec) from error
        self._children.append(child)
        return child

    async def _end(self, starting: Sequence[asyncio.Future[Child]]) -> None:
        """End those that have started, and those that are starting at once: nobody has relied on them yet."""
        for one in starting:
            one.cancel()
        ended = await asyncio.gather(*starting, return_exceptions=True)
        await asyncio.gather(*(child.stop(self._grace) for child in ended if isinstance(child, Child)))


def _with_last_line(error: SynapseError, spec: ChildSpec) -> SynapseError:
    """The error with what the process itself said last, which is what its operator needs."""
    said = last_words(spec.log).splitlines()
    if error.reason != "CHILD_NOT_READY" or not said:
        return error
    return Unavailable(error.reason, f"{error.message}; it said last: {said[-1]}", remedy=f"see {spec.log}")
