"""Calls that outlive faults: the same wish again, under the same request id, until somebody answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from synapsenet_client import Cancelled, DeadlineExceeded, SynapseNetError, Unavailable

T = TypeVar("T")

ATTEMPT_S = 5.0
_WITHIN_S = 120.0
_PAUSE_S = 0.2


async def persist(call: Callable[[], Awaitable[T]]) -> T:
    """What `call` gives as soon as the platform is there to answer.

    Raises:
        SynapseNetError: the platform's answer is a refusal, or it gave none for two minutes.
    """
    until = time.monotonic() + _WITHIN_S
    while True:
        try:
            return await call()
        except SynapseNetError as error:
            away = isinstance(error, Unavailable | DeadlineExceeded | Cancelled) or type(error) is SynapseNetError
            if not away or time.monotonic() > until:
                raise
        await asyncio.sleep(_PAUSE_S)
