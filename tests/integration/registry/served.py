"""What the tests of this folder call: stubs of the roles while they are served."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import grpc


@dataclass(frozen=True, slots=True)
class Served:
    """The stubs of one run; `any`, as they are asyncio ones.

    Attributes:
        outside: a channel to the address that people reach.
        data: the platform's folder.
    """

    models: Any
    registry: Any
    control: Any
    outside: grpc.aio.Channel
    data: Path


class Serve(Protocol):
    def __call__(self, **sections: dict[str, Any]) -> AbstractAsyncContextManager[Served]: ...
