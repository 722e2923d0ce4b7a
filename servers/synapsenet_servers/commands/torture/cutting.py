"""The wire between the trial and its platform: a TCP proxy that can be cut."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 16


class Wire:
    """Passes bytes on to the platform's port.

    Attributes:
        port: for clients.
        target: the platform's port.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._ends: set[StreamWriter] = set()

    def cut(self) -> int:
        """Reset every connection, whatever is on its way; how many there were."""
        ends, self._ends = self._ends, set()
        for end in ends:
            end.transport.abort()
        return len(ends) // 2

    async def join(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Carry one connection to its end."""
        try:
            far_reader, far_writer = await asyncio.open_connection(_LOOPBACK, self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._ends |= ends
        try:
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()


async def _pass_on(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def wire(target: int) -> AsyncIterator[Wire]:
    """A wire to the port `target` inside an `async with`."""
    stretched = Wire(target)
    server = await asyncio.start_server(stretched.join, _LOOPBACK, 0)
    stretched.port = server.sockets[0].getsockname()[1]
    try:
        yield stretched
    finally:
        server.close()
        stretched.cut()
