"""What an operator may set of the platform's connection to etcd."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synapsenet.errors import InvalidArgument

_SHORTEST_TTL_S = 2.0
_LONGEST_TTL_S = 300.0
_LONGEST_CALL_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdOptions:
    """The members of etcd, who we are to them, and our bounds.

    Attributes:
        endpoints: `host:port` of each member; the platform uses one and goes on to the next if it does not answer.
        prefix: of all keys, so that several platforms can share one etcd.
        user: name to authenticate with; empty if etcd asks for none.
        password_file: file whose first line is the password of `user`.
        ca_file: PEM file of the authority that signed the members' certificates; given, connections are TLS.
        certificate_file: PEM file of the certificate that we show to the members (mTLS).
        key_file: PEM file of that certificate's key.
        session_ttl_s: seconds after which the locks and registrations of a process that died are free at the latest, 2..300.
        attempt_s: seconds that one member has to answer before the next one is asked.
        call_s: seconds that a call may take over all its attempts.
        ping_s: seconds of silence after which a connection is probed; etcd refuses less than 5.
    """

    endpoints: tuple[str, ...] = ("127.0.0.1:2379",)
    prefix: str = "/synapsenet/"
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    session_ttl_s: float = 15.0
    attempt_s: float = 2.0
    call_s: float = 5.0
    ping_s: float = 10.0

    def __post_init__(self) -> None:
        self._check_endpoints()
        self._check_credentials()
        if not _SHORTEST_TTL_S <= self.session_ttl_s <= _LONGEST_TTL_S:
            remedy = f"choose {_SHORTEST_TTL_S:g} to {_LONGEST_TTL_S:g} seconds"
            raise InvalidArgument("ETCD_TTL_INVALID", field="etcd.session_ttl_s", remedy=remedy)
        if not 0 < self.attempt_s <= self.call_s <= _LONGEST_CALL_S:
            remedy = f"keep attempt_s above 0, and call_s no shorter than it and at most {_LONGEST_CALL_S:g} seconds"
            raise InvalidArgument("ETCD_TIMEOUTS_INVALID", field="etcd.call_s", remedy=remedy)
        if self.ping_s < 5:
            remedy = "choose 5 seconds or more: etcd closes connections that are probed more often"
            raise InvalidArgument("ETCD_PING_INVALID", field="etcd.ping_s", remedy=remedy)

    def _check_endpoints(self) -> None:
        if not self.endpoints:
            raise InvalidArgument("ETCD_ENDPOINTS_MISSING", field="etcd.endpoints", remedy="name at least one host:port")
        for endpoint in self.endpoints:
            host, colon, port = endpoint.rpartition(":")
            if not (colon and host and port.isdecimal() and 0 < int(port) <= 65535) or "/" in endpoint:
                message = f"etcd.endpoints: {endpoint!r} is no host:port"
                remedy = "name members as host:port, without http://; TLS is used where ca_file is given"
                raise InvalidArgument("ETCD_ENDPOINT_INVALID", message, field="etcd.endpoints", remedy=remedy)
        if not self.prefix.endswith("/"):
            raise InvalidArgument("ETCD_PREFIX_INVALID", field="etcd.prefix", remedy="end it with /")

    def _check_credentials(self) -> None:
        if bool(self.user) != (self.password_file is not None):
            raise InvalidArgument(
                "ETCD_PASSWORD_MISSING", field="etcd.password_file", remedy="give user and password_file together, or neither"
            )
        if (self.certificate_file is None) != (self.key_file is None):
            raise InvalidArgument(
                "ETCD_KEY_MISSING", field="etcd.key_file", remedy="give certificate_file and key_file together, or neither"
            )
        if self.certificate_file is not None and self.ca_file is None:
            raise InvalidArgument(
                "ETCD_CA_MISSING", field="etcd.ca_file", remedy="give the authority that signed the members' certificates"
            )
