"""What it takes to run a server of somebody else's on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One server, its folder prepared, ready to be started by whoever watches over it.

    Attributes:
        name: for logs and messages, e.g. `etcd`.
        argv: program and arguments; it stays in the foreground and ends on SIGTERM.
        env: variables beside those that every child gets.
        cwd: an existing folder.
        address: where clients find it: `host:port`, or a URL where the client takes one.
        ready: whether it takes requests now; quick, never raises.
    """

    name: str
    argv: Sequence[str]
    cwd: Path
    address: str
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
