"""Ports seen to be free before others are told to bind them, so that the sentence about a busy one is ours."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from pathlib import Path
from random import Random

from synapsenet.errors import FailedPrecondition, ResourceExhausted

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000
_TRIES = 1_000


def free_port(host: str, port: int) -> int:
    """`port`, or any free one if it is 0, below those that the kernel gives to outgoing connections.

    A port that a connection could take in between would be lost to a server that is started later, or again.

    Raises:
        FailedPrecondition: PORT_IN_USE, naming the address; PORT_REFUSED, if it may not be bound for another reason.
        ResourceExhausted: NO_FREE_PORT.
    """
    return free_ports(host, (port,))[0]


def free_ports(host: str, ports: Sequence[int]) -> tuple[int, ...]:
    """As `free_port`, all of them different.

    Raises:
        FailedPrecondition, ResourceExhausted: as `free_port`.
    """
    probes = []
    try:
        for port in ports:
            probes.append(_bound(host, port) if port else _bound_anywhere(host))  # noqa: PERF401 - those before are held while the next is looked for
        return tuple(int(probe.getsockname()[1]) for probe in probes)
    finally:
        for probe in probes:
            probe.close()


def spell(host: str, port: int) -> str:
    """`host:port` as addresses are written."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bound_anywhere(host: str) -> socket.socket:
    highest = max(_LOWEST + _TRIES, int(_EPHEMERAL.read_text().split()[0]) - 1)
    for port in Random().sample(range(_LOWEST, highest), _TRIES):
        try:
            return _bound(host, port)
        except FailedPrecondition as taken:
            if taken.reason != "PORT_IN_USE":
                raise
    raise ResourceExhausted("NO_FREE_PORT", f"no port within {_LOWEST}..{highest} is free", remedy="stop some servers")


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probe = socket.socket(family, socket.SOCK_STREAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((host, port))
        probe.listen(1)
    except OSError as error:
        probe.close()
        where = spell(host, port)
        if error.errno == errno.EADDRINUSE:
            remedy = "stop what listens there, or choose another port"
            raise FailedPrecondition("PORT_IN_USE", f"{where} is in use", remedy=remedy) from error
        raise FailedPrecondition(
            "PORT_REFUSED", f"{where} cannot be bound: {error.strerror}", remedy="choose another host or port"
        ) from error
    return probe
