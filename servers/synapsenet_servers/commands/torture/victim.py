"""The platform that is tried: `synapsenet dev` as a child process, killed, stopped and started again on the same data."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from synapsenet.errors import Unavailable

_START_S = 90.0
_END_S = 30.0


class Victim:
    """A platform at the mercy of whoever holds this.

    Attributes:
        port: on which it serves gRPC, the same in every life.
        data: its data folder.
        lives: how often it was started.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = 0
        self.lives = 0
        self._process: Process | None = None

    async def start(self) -> None:
        """Start it, until it serves.

        Raises:
            Unavailable: PLATFORM_NOT_STARTED; the child has told why in its log.
        """
        command = ["-m", "synapsenet_cli", "dev", "--port", str(self.port), "--http-port", "0", "--data-dir", str(self.data)]
        self._process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE, stderr=DEVNULL)
        self.lives += 1
        assert self._process.stdout is not None
        async with asyncio.timeout(_START_S):
            line = (await self._process.stdout.readline()).decode().split()
        if not line:
            raise Unavailable("PLATFORM_NOT_STARTED", "the platform did not start", remedy=f"see {self.data / 'logs'}")
        self.port = int(line[1].rpartition(":")[2])

    async def kill(self) -> None:
        """SIGKILL, as a crash."""
        self._told(signal.SIGKILL)
        await self._ended()

    async def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after `seconds`: as a host that hangs."""
        self._told(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._told(signal.SIGCONT)

    async def end(self) -> None:
        """Let it end in order, or kill it after a while."""
        if self._process is None or self._process.returncode is not None:
            return
        self._told(signal.SIGTERM)
        try:
            await self._ended()
        except TimeoutError:
            await self.kill()

    async def _ended(self) -> None:
        assert self._process is not None
        async with asyncio.timeout(_END_S):
            await self._process.wait()

    def _told(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(what)


@asynccontextmanager
async def victim(data: Path) -> AsyncIterator[Victim]:
    """A platform on the folder `data` inside an `async with`."""
    platform = Victim(data)
    try:
        await platform.start()
        yield platform
    finally:
        await platform.end()
