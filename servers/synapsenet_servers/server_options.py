"""What an operator may set of every gRPC server of the platform."""

from __future__ import annotations

from dataclasses import dataclass, field

from synapsenet_servers.interceptors.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What an operator may set of every server.

    Attributes:
        limits: bounds of calls and messages.
        drain_s: seconds that calls under way have to end after the server stopped to take new ones.
        keepalive_s: seconds of silence after which a connection is probed.
        shortest_client_ping_s: clients that ping more often than that are disconnected.
        connection_age_s: seconds after which a TLS connection takes no more calls, so that its client connects anew and shows
            a certificate that still holds; what streams on it goes on.
    """

    limits: Limits = field(default_factory=Limits)
    drain_s: float = 5.0
    keepalive_s: float = 30.0
    shortest_client_ping_s: float = 10.0
    connection_age_s: float = 3_600.0
