"""A trial from its beginning to its verdict."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapsenet.lifecycle.audit import Findings
from synapsenet_client import connect_async
from synapsenet_servers.commands.torture.auditing import Watcher, judge
from synapsenet_servers.commands.torture.cutting import wire
from synapsenet_servers.commands.torture.deeds import Deeds
from synapsenet_servers.commands.torture.faults import Faults
from synapsenet_servers.commands.torture.victim import victim

_AT_ONCE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a trial came to.

    Attributes:
        asked: operations by the event that they were to bring about.
        outcomes: what became of them.
        faults: by kind.
    """

    asked: Counter[str]
    outcomes: Counter[str]
    faults: Counter[str]
    findings: Findings
    seconds: float
    wants_faults: bool

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong, and the trial was one: a fault for ten operations, if there were to be any."""
        enough = not self.wants_faults or sum(self.faults.values()) * 10 >= sum(self.asked.values())
        return enough and not self.findings.all


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is to be tried."""

    operations: int
    models: int
    with_faults: bool
    seed: int

    async def run(self, folder: Path) -> Verdict:
        """Try a platform of its own in `folder`.

        Raises:
            Unavailable: PLATFORM_NOT_STARTED.
        """
        begun = time.monotonic()
        models = [f"tried-{number}" for number in range(self.models)]
        async with (
            victim(folder) as platform,
            wire(platform.port) as stretched,
            connect_async(f"127.0.0.1:{stretched.port}") as client,
        ):
            faults = Faults(platform, stretched, random.Random(self.seed))
            watcher = Watcher(client)
            deeds = Deeds(client, models, self.operations, faults if self.with_faults else None, self.seed)
            async with _meanwhile(watcher.run()):
                await deeds.prepare()
                async with _meanwhile(faults.run()):
                    await asyncio.gather(*(deeds.run() for _ in range(_AT_ONCE)))
                    await faults.rest()
                findings = await judge(client, watcher, models, deeds.stuck)
        return Verdict(
            asked=deeds.asked,
            outcomes=deeds.outcomes,
            faults=faults.counts,
            findings=findings,
            seconds=time.monotonic() - begun,
            wants_faults=self.with_faults,
        )


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """`work` goes on inside the `async with`; what it fails of is raised at the end."""
    task = asyncio.create_task(work)
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
