"""Ports on loopback for servers that are told theirs before they start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from synapsenet.errors import FailedPrecondition, ResourceExhausted
from synapsenet_servers.mesh.ports import free_port
from synapsenet_servers.up.options import LOOPBACK

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000
_TRIES = 1_000


def free_ports(random: Random) -> Iterator[int]:
    """Ports that nobody listens on now, each once, below those that the kernel gives to outgoing connections.

    A port that a connection could take in between would be lost to a server that is started later, or again.

    Raises:
        ResourceExhausted: NO_FREE_PORT.
    """
    highest = max(_LOWEST + _TRIES, int(_EPHEMERAL.read_text().split()[0]) - 1)
    for port in random.sample(range(_LOWEST, highest), _TRIES):
        try:
            yield free_port(LOOPBACK, port)
        except FailedPrecondition:
            continue
    raise ResourceExhausted("NO_FREE_PORT", f"no port within {_LOWEST}..{highest} is free", remedy="stop some servers")
