"""The `cluster.toml` that `synapsenet up` writes: where its own backends are, and that everything stays on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synapsenet_servers.up.options import LOOPBACK

Value = str | int | float | bool | Sequence[str] | Sequence[int]
Sections = Mapping[str, Mapping[str, Value]]

_HEADING = "# Written by `synapsenet up` at each start: changes are lost.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Where the backends are.

    Attributes:
        etcd: `host:port`.
        kafka: `host:port`.
        postgres: a URL.
    """

    etcd: str
    kafka: str
    postgres: str


def sections(backing: Backing, *, data: Path, run: Path, ports: Sequence[int]) -> Sections:
    """What the processes are told.

    Args:
        data: the folder of the whole cluster.
        run: private folder for sockets; whoever can open it may call everything, so nobody is asked for a certificate.
        ports: Envoy's, on loopback.
    """
    return {
        "etcd": {"endpoints": [backing.etcd]},
        "kafka": {"brokers": [backing.kafka]},
        "postgres": {"url": backing.postgres},
        "artifacts": {"url": str(data / "artifacts")},
        "mesh": {"host": "this machine", "socket": str(run / "envoy.sock")},
        "edge": {"host": LOOPBACK, "port": ports[0], "more_ports": list(ports[1:])},
        "security": {"anonymous": True},
    }


def write(path: Path, content: Sections) -> None:
    """Write `content` as TOML, for this user alone."""
    path.touch(mode=0o600)
    blocks = [
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        for name, keys in content.items()
    ]
    path.write_text("\n".join([_HEADING, *blocks]))


def listening(run: Path, name: str) -> str:
    """Where the process `name` listens: a socket in `run`."""
    return f"unix:{run / name}.sock"
