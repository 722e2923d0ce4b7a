"""What an operator may set of a host's mesh: where services listen and register, and how Envoy judges and reaches them."""

from __future__ import annotations

import socket as sockets
from dataclasses import dataclass

from synapsenet.errors import InvalidArgument

_SOCKET_BYTES = 100  # the kernel takes 107, and a name beside it must fit too
_POSITIVE = (
    "lease_ttl_s", "rejoin_s", "lost_after_s", "look_s", "health_interval_s", "health_timeout_s", "connect_timeout_s",
    "ejection_s", "ping_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshOptions:
    """How the processes of the cluster profile find and reach each other.

    Attributes:
        host: name of this machine in the registry, for people; empty: its host name.
        zone: where this machine is; calls stay in their zone while it has healthy instances. Empty: zones are of no account.
        listen: where a process of roles listens: `host:port` (port 0 takes a free one), or `unix:PATH`; empty: a Unix socket
            in its own folder, open to its user alone. Unix sockets are for a lone machine.
        advertise: `host:port` under which others reach it, if that is not `listen`; needed where `listen` is a wildcard.
        socket: Unix socket of this machine's Envoy, for calls between services; open to its user alone.
        edge: Envoy also serves people, as `[edge]` says.
        lease_ttl_s: seconds after which the registration of a process that died is gone.
        rejoin_s: seconds between attempts to register anew.
        lost_after_s: seconds without a registration after which a process says so, and again as often.
        propagation_s: seconds between deregistering and the end of service, in which every Envoy hears of it.
        sole_wait_s: seconds that a role of which there is one only waits for its former process to end.
        look_s: seconds between looks at the endpoint files, which Envoy reads, for damage.
        health_interval_s: seconds between health checks of an instance.
        health_timeout_s: seconds that an instance may take to answer one.
        unhealthy_after: failed checks in a row after which it gets no calls.
        connect_timeout_s: seconds that a connection to an instance may take.
        silence_s: whole seconds, at least 2, without a sign of life from an instance's machine, however busy the instance,
            after which the connection counts as broken and the calls on it end UNAVAILABLE.
        ping_s: seconds of silence after which a connection is probed; not less than `server.shortest_client_ping_s`.
        retries: times that a call which no instance took is tried again, each time elsewhere if there is another.
        retry_percent: retries, as a percentage of the calls under way to a role.
        eject_after: calls in a row that fail with UNAVAILABLE or a broken connection, after which an instance gets none.
        ejection_s: seconds for which it gets none; each further time as long again.
        calls: calls at one time to one role, watches included; one more is answered UNAVAILABLE.
        connections: Envoy's connections to one role.
    """

    host: str = ""
    zone: str = ""
    listen: str = ""
    advertise: str = ""
    socket: str = "/run/synapsenet/mesh.sock"
    edge: bool = True
    lease_ttl_s: float = 6.0
    rejoin_s: float = 1.0
    lost_after_s: float = 15.0
    propagation_s: float = 1.0
    sole_wait_s: float = 20.0
    look_s: float = 1.0
    health_interval_s: float = 0.5
    health_timeout_s: float = 0.75
    unhealthy_after: int = 2
    connect_timeout_s: float = 1.0
    silence_s: int = 4
    ping_s: float = 15.0
    retries: int = 3
    retry_percent: float = 25.0
    eject_after: int = 5
    ejection_s: float = 5.0
    calls: int = 4_000
    connections: int = 256

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise _wrong(name, "choose more than 0")
        for name in ("propagation_s", "sole_wait_s", "retries", "retry_percent"):
            if getattr(self, name) < 0:
                raise _wrong(name, "choose 0 or more")
        if self.silence_s < 2:
            raise _wrong("silence_s", "choose 2 or more")
        for name in ("unhealthy_after", "eject_after", "calls", "connections"):
            if getattr(self, name) < 1:
                raise _wrong(name, "choose 1 or more")
        if not self.socket or len(self.socket.encode()) > _SOCKET_BYTES:
            raise _wrong("socket", f"give a path of 1..{_SOCKET_BYTES} bytes")
        for name in ("listen", "advertise"):
            check_address(getattr(self, name), field=f"mesh.{name}")

    @property
    def host_name(self) -> str:
        return self.host or sockets.gethostname()


def check_address(address: str, *, field: str) -> None:
    """Pass if `address` is `host:port`, `unix:PATH` or nothing at all.

    Raises:
        InvalidArgument: MESH_OPTION_INVALID.
    """
    if not address:
        return
    remedy = "give HOST:PORT, such as 127.0.0.1:7411 or [::1]:7411, or unix:PATH"
    if address.startswith("unix:"):
        if not 1 <= len(address.removeprefix("unix:").encode()) <= _SOCKET_BYTES:
            raise InvalidArgument("MESH_OPTION_INVALID", field=field, remedy=f"give a path of 1..{_SOCKET_BYTES} bytes")
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535 or (":" in host and host[0] != "["):
        raise InvalidArgument("MESH_OPTION_INVALID", field=field, remedy=remedy)


def _wrong(name: str, remedy: str) -> InvalidArgument:
    return InvalidArgument("MESH_OPTION_INVALID", field=f"mesh.{name}", remedy=remedy)
