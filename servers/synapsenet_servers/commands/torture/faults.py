"""Random faults, one after another: the process dies or hangs, the wire is cut, an artifact is not what it was."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

from synapsenet_servers.commands.torture.cutting import Wire
from synapsenet_servers.commands.torture.victim import Victim

KILLED, STOPPED, CUT, CORRUPTED = "platform killed and restarted", "platform stopped", "connections cut", "artifact corrupted"

_EVERY = 8
"""Operations between two faults: more than one fault for ten operations."""

_SHARES = {KILLED: 3, STOPPED: 5, CUT: 4}
_LONGEST_STOP_S = 3.0
_MOMENT_S = 0.4


class Faults:
    """What is done to the platform while operations go on.

    Attributes:
        counts: faults so far, by kind.
    """

    def __init__(self, platform: Victim, wire: Wire, chance: random.Random) -> None:
        self._platform = platform
        self._wire = wire
        self._chance = chance
        self._begun = 0
        self._brought = 0
        self._due = asyncio.Event()
        self._resting = asyncio.Event()
        self._resting.set()
        self.counts: Counter[str] = Counter()

    def operation_begins(self) -> None:
        """Count an operation; the next fault comes a moment later if it is time."""
        self._begun += 1
        if self._begun >= _EVERY * (self._brought + 1):
            self._due.set()

    async def run(self) -> None:
        """Bring about what is due, for ever."""
        while True:
            await self._due.wait()
            self._resting.clear()
            self._due.clear()
            await asyncio.sleep(self._chance.uniform(0, _MOMENT_S))  # in the midst of what has just begun
            await self._happen(self._chance.choices([*_SHARES], weights=[*_SHARES.values()])[0])
            self._resting.set()

    async def rest(self) -> None:
        """Return when the platform is over the last one."""
        await self._resting.wait()

    async def _happen(self, kind: str) -> None:
        self.counts[kind] += 1
        self._brought += 1
        if kind == KILLED:
            await self._platform.kill()
            await self._platform.start()
        elif kind == STOPPED:
            await self._platform.pause(self._chance.uniform(0.1, _LONGEST_STOP_S))
        else:
            self._wire.cut()

    def corrupt(self, sha256: str) -> None:
        """Change one byte of the stored artifact with this digest, as a disk does that forgets."""
        (path,) = self._platform.data.glob(f"artifacts/sha256/{sha256[:2]}/{sha256}")
        _flip(path, self._chance.randrange(path.stat().st_size))
        self.counts[CORRUPTED] += 1


def _flip(path: Path, place: int) -> None:
    mode = path.stat().st_mode
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0xFF]))
    path.chmod(mode)
