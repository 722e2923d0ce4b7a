"""Ending a call with an error of the platform."""

from __future__ import annotations

import logging
import math
import secrets
from contextvars import ContextVar
from typing import Any, NoReturn

from synapsenet.errors import DeadlineExceeded, Internal, SynapseError
from synapsenet_servers.interceptors.catalogue import code, status

_log = logging.getLogger(__name__)

refused_with: ContextVar[str] = ContextVar("refused_with", default="")
"""The reason for which the current call was refused; the runtime gives each call a context of its own."""


async def refuse(context: Any, method: str, error: BaseException) -> NoReturn:
    """End the call with `error`'s status; what is no SynapseError is a bug, logged under an incident number.

    Raises:
        grpc.aio.AbortError: always; it must reach the runtime.
    """
    known = error if isinstance(error, SynapseError) else _as_ours(method, error)
    refused_with.set(known.reason)
    if known.secret:
        _log.warning("%s: %s: %s", method, known.reason, known.secret)
    wire = status(known)
    trailers: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", wire.SerializeToString())]
    if known.retry_after is not None:
        trailers.append(("retry-after", str(max(1, math.ceil(known.retry_after)))))
    await context.abort(code(known), wire.message, tuple(trailers))
    raise AssertionError("abort returned")


def _as_ours(method: str, error: BaseException) -> SynapseError:
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(
            "DEADLINE_EXCEEDED", f"{method} took longer than its maximum", remedy="set a deadline of your own, or ask for less"
        )
    incident = secrets.token_hex(4)
    _log.error("incident %s in %s", incident, method, exc_info=error)
    return Internal("INTERNAL", f"the platform failed (incident {incident})", remedy="report it with the server's log")
