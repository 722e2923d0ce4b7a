"""Talking to Envoy's administration over its Unix socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

from synapsenet.clock import Clock

_ANSWER_WITHIN_S = 1.0
_LOOK_EVERY_S = 0.02


async def until_ready(admin: Path, clock: Clock) -> None:
    """Return once all listeners of Envoy take requests."""
    while "200" not in (await _ask(admin, "GET", "/ready"))[0]:
        await clock.sleep(_LOOK_EVERY_S)


async def drain(admin: Path, clock: Clock, *, within: float) -> None:
    """Have clients leave, and return when no call is under way, or `within` seconds later."""
    deadline = clock.monotonic() + within
    await _ask(admin, "POST", "/healthcheck/fail")
    await _ask(admin, "POST", "/drain_listeners?graceful&skip_exit")
    while clock.monotonic() < deadline and await _calls_under_way(admin):
        await clock.sleep(_LOOK_EVERY_S)


async def _calls_under_way(admin: Path) -> int:
    _, body = await _ask(admin, "GET", "/stats?filter=^http%5C.(edge|mesh)%5C.downstream_rq_active$")
    return sum(int(line.rpartition(":")[2]) for line in body.splitlines() if ":" in line)


async def _ask(admin: Path, method: str, path: str) -> tuple[str, str]:
    """Status line and body; both empty from an Envoy that does not answer."""
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_unix_connection(str(admin))
            try:
                request = f"{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                writer.write(request.encode())
                head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
                return head.partition("\r\n")[0], body
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return "", ""
