"""Hosts for tests: network namespaces on one switch, each with its own loopback, to be cut off and joined again.

The switch is a namespace too, so that no firewall of this machine judges what passes between the hosts; the test itself has a
leg of its own on it. All names carry the id of the process that made them: what a killed run left is removed by the next one.
Processes of several hosts share files and with them Unix sockets that have a path: only what goes by IP is a host's own.
"""

from __future__ import annotations

import ctypes
import http.client
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

COMMAND_S = 20.0
DIAL_S = 5.0
LOOPBACK = "127.0.0.1"
# For measuring networks, hence on no other one. A /24 a run.
BENCHMARKING = ipaddress.ip_network("198.18.0.0/15")

_NAME = re.compile(r"(syn(\d+)n\d+)-\w+")
_in_use: list[str] = []
_NAMESPACES = Path("/run/netns")
_NEW_NETWORK = 0x4000_0000  # CLONE_NEWNET


class NoNamespacesError(AssertionError):
    """This machine cannot make network namespaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host.

    Attributes:
        address: by which the other hosts and the test reach it.
    """

    name: str
    namespace: str
    address: str

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` in this host, under the process id that it is started with."""
        return ["ip", "netns", "exec", self.namespace, *argv]

    def inside(self, make: Callable[[], T]) -> T:
        """What `make` makes in this host: sockets stay in the host in which they were made."""
        with ThreadPoolExecutor(1) as thread:  # it ends here, and nobody else's host changes
            return thread.submit(self._made_inside, make).result()

    def get(self, port: int, path: str, *, seconds: float = 30.0) -> tuple[int, Any]:
        """Status and JSON of GET at the host's own loopback."""
        return self.request("GET", port, path, seconds=seconds)

    def request(self, method: str, port: int, path: str, body: Any = None, *, seconds: float = 30.0) -> tuple[int, Any]:
        """Status and JSON of a request at the host's own loopback.

        Raises:
            OSError, http.client.HTTPException: it was not answered within `seconds`.
        """
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=seconds)
        with closing(connection):
            connection.sock = self.inside(partial(socket.create_connection, (LOOPBACK, port), DIAL_S))
            connection.sock.settimeout(seconds)
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")

    def _made_inside(self, make: Callable[[], T]) -> T:
        with (_NAMESPACES / self.namespace).open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), f"cannot enter {self.namespace}")
        return make()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Hosts on one switch.

    Attributes:
        hosts: by name.
        subnet: that holds their addresses, in CIDR notation.
    """

    hosts: Mapping[str, Host]
    subnet: str
    switch: str

    @contextmanager
    def cut_off(self, host: Host) -> Iterator[None]:
        """The host's cable pulled inside a `with`: what is sent to it or by it vanishes, and nothing is refused."""
        _ip("-n", self.switch, "link", "set", "dev", host.name, "down")
        try:
            yield
        finally:
            _ip("-n", self.switch, "link", "set", "dev", host.name, "up")


@contextmanager
def network(*names: str) -> Iterator[Network]:
    """Hosts of these names, of at most eight letters, inside a `with`; the processes left in them at its end are killed.

    Raises:
        NoNamespacesError: this machine cannot make them.
    """
    _remove_leftovers()
    own = f"syn{os.getpid()}n{len(_in_use)}"
    _in_use.append(own)
    try:
        yield _built(own, names)
    finally:
        _remove(own)
        _in_use.remove(own)


def _built(own: str, names: Sequence[str]) -> Network:
    switch = f"{own}-switch"
    try:
        _ip("netns", "add", switch)
        subnet = _free_subnet()
        mine, *theirs = (f"{address}/{subnet.prefixlen}" for address in subnet.hosts())
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        _ip("link", "add", own, "type", "veth", "peer", "name", "test", "netns", switch)
        _ip("address", "add", mine, "dev", own)
        _ip("link", "set", own, "up")
        _plug(switch, "test")
        for name, address in zip(names, theirs, strict=False):
            _add(f"{own}-{name}", address, switch, port=name)
    except (OSError, subprocess.SubprocessError) as problem:
        said = getattr(problem, "stderr", "") or str(problem)
        raise NoNamespacesError(
            f"this machine cannot make hosts of network namespaces ({said.strip()}): "
            "run as root with iproute2 installed, or leave these tests out with --no-netns"
        ) from problem
    hosts = {
        name: Host(name=name, namespace=f"{own}-{name}", address=address.partition("/")[0])
        for name, address in zip(names, theirs, strict=False)
    }
    return Network(hosts=hosts, subnet=str(subnet), switch=switch)


def _add(namespace: str, address: str, switch: str, *, port: str) -> None:
    """A host with its loopback and one cable to the switch."""
    _ip("netns", "add", namespace)
    _ip("-n", namespace, "link", "set", "lo", "up")
    _ip("-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", switch)
    _ip("-n", namespace, "address", "add", address, "dev", "eth0")
    _ip("-n", namespace, "link", "set", "eth0", "up")
    _plug(switch, port)


def _plug(switch: str, port: str) -> None:
    _ip("-n", switch, "link", "set", "dev", port, "master", "bridge")
    _ip("-n", switch, "link", "set", "dev", port, "up")


def _free_subnet() -> ipaddress.IPv4Network:
    """A /24 that no route of this machine's leads to, other than the default one."""
    taken = [ipaddress.ip_network(route["dst"]) for route in _listed("-4", "route") if route["dst"] != "default"]
    candidates = list(BENCHMARKING.subnets(new_prefix=24))
    first = os.getpid() % len(candidates)
    for candidate in (*candidates[first:], *candidates[:first]):
        if isinstance(candidate, ipaddress.IPv4Network) and not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise NoNamespacesError(f"every network of {BENCHMARKING} is in use on this machine: see `ip route`")


def _remove_leftovers() -> None:
    """Of runs whose process is gone, and of a former one that had our id."""
    with suppress(OSError, subprocess.SubprocessError):  # said by what comes next
        found = {match.groups() for row in _listed("netns") if (match := _NAME.fullmatch(row["name"]))}
        for own, owner in found:
            if own not in _in_use and (int(owner) == os.getpid() or not Path(f"/proc/{owner}").exists()):
                _remove(own)


def _remove(own: str) -> None:
    """Everything that carries the name `own`, and whoever still runs in there."""
    with suppress(OSError, subprocess.SubprocessError):
        _ip("link", "del", own)
    with suppress(OSError, subprocess.SubprocessError):
        for namespace in [row["name"] for row in _listed("netns") if row["name"].startswith(f"{own}-")]:
            for process in _ip("netns", "pids", namespace).split():
                with suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            _ip("netns", "del", namespace)


def _listed(*what: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(_ip("-j", *what, "list") or "[]")
    return rows


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=COMMAND_S, check=True)
    return done.stdout
