"""Ports that are looked for before a server has them are free, different, and none that a connection is given."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from synapsenet.errors import FailedPrecondition
from synapsenet_servers.mesh.ports import free_ports

LOOPBACK = "127.0.0.1"


def test_any_ports_are_different_and_below_those_of_outgoing_connections() -> None:
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = free_ports(LOOPBACK, [0] * 50)
    assert len(set(found)) == 50
    assert all(1024 <= port < first_ephemeral for port in found)
    for port in found:
        with closing(socket.socket()) as server:
            server.bind((LOOPBACK, port))


def test_a_port_that_is_asked_for_is_given_or_refused_by_its_address() -> None:
    with closing(socket.socket()) as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        taken = server.getsockname()[1]
        with pytest.raises(FailedPrecondition) as refusal:
            free_ports(LOOPBACK, (0, taken))
        assert refusal.value.reason == "PORT_IN_USE"
        assert f"{LOOPBACK}:{taken} is in use" in str(refusal.value)
    assert free_ports(LOOPBACK, (taken,)) == (taken,)


def test_a_host_that_is_not_ours_is_refused_at_once() -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        free_ports("198.51.100.1", (0,))
    assert refusal.value.reason == "PORT_REFUSED"
