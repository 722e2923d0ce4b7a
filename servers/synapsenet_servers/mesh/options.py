"""What an operator may set of the edge."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from synapsenet.errors import InvalidArgument

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOptions:
    """Where the edge listens, to whom it answers, and its bounds.

    Attributes:
        host: IP address that is bound.
        port: TCP port that is bound, 0..65535, 0 for a free one; HTTP/JSON, NDJSON, gRPC-Web and gRPC share it.
        more_ports: further ports on which the same is served.
        exposed: the operator says that `host` may be other than loopback.
        hosts: names, without port, under which clients may reach the edge beside the loopback ones.
        threads: Envoy's worker threads.
        header_kib: largest request header block, KiB.
        body_bytes: largest body of a JSON request; gRPC has the server's own limits.
        answer_bytes: largest JSON answer; of a stream, largest message.
        connections: clients' connections at one time; one more is closed at once.
        streams: calls at one time on one HTTP/2 connection.
        calls: calls at one time over all connections, watches included; one more is answered 503.
        retry_percent: retries, as a percentage of the calls under way.
        header_timeout_s: seconds that a client may take over its request headers.
        idle_connection_s: seconds that a connection without a call is kept.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    more_ports: tuple[int, ...] = ()
    exposed: bool = False
    hosts: tuple[str, ...] = ()
    threads: int = 1
    header_kib: int = 32
    body_bytes: int = 16 << 20
    answer_bytes: int = 64 << 20
    connections: int = 1_000
    streams: int = 200
    calls: int = 2_000
    retry_percent: float = 20.0
    header_timeout_s: float = 10.0
    idle_connection_s: float = 3600.0

    def __post_init__(self) -> None:
        for name, port in (("port", self.port), *(("more_ports", port) for port in self.more_ports)):
            if not 0 <= port <= 65535:
                raise InvalidArgument("EDGE_PORT_INVALID", field=f"edge.{name}", remedy="choose a port within 0..65535")
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError as error:
            raise InvalidArgument(
                "EDGE_HOST_INVALID", field="edge.host", remedy="give an IP address, such as 127.0.0.1"
            ) from error
        if not address.is_loopback and not self.exposed:
            raise InvalidArgument(
                "EDGE_EXPOSED",
                f"{self.host} can be reached from other machines",
                field="edge.host",
                remedy="bind a loopback address, or set edge.exposed",
            )

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports."""
        return (self.port, *self.more_ports)

    @property
    def own_names(self) -> tuple[str, ...]:
        """The host names, as a Host header spells them, under which the edge answers."""
        address = ipaddress.ip_address(self.host)
        bound = () if address.is_unspecified else (f"[{address}]" if address.version == 6 else str(address),)
        return tuple(dict.fromkeys((*_LOOPBACK_NAMES, *bound, *self.hosts)))
