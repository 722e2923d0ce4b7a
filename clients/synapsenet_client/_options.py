"""How a client reaches the platform: address, limits, deadlines, retries and credentials."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from synapsenet_client._errors import InvalidArgument

DEFAULT_TARGET = "localhost:7400"
TARGET_VARIABLE = "SYNAPSENET_TARGET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files that secure the connection.

    Attributes:
        ca: certificates of the authorities to trust; None trusts those that come with gRPC.
        certificate: this client's own certificate chain, where the platform asks for one.
        key: the private key that belongs to `certificate`.
        server_name: the name to expect in the platform's certificate, where it differs from the target's host.
    """

    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InvalidArgument("tls: certificate and key belong together: give both or neither", reason="TLS_INCOMPLETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """What happens when a call ends UNAVAILABLE; no other status is ever retried.

    Attributes:
        attempts: of one call, the first included; 1 turns retries off, gRPC allows at most 5.
        first_backoff: seconds before the second attempt (a random share of it is taken).
        longest_backoff: seconds that a pause never exceeds.
        budget: failures that a target may answer before retries are held back; half of it left stops them.
        refill: share of a failure that one success gives back to the budget.
    """

    attempts: int = 4
    first_backoff: float = 0.1
    longest_backoff: float = 2.0
    budget: int = 20
    refill: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 5:
            raise InvalidArgument("retries: attempts must be 1 to 5", reason="RETRIES_OUT_OF_RANGE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything about a connection that has a sensible default.

    Attributes:
        timeout: seconds for a call with one answer; `client.within(seconds)` overrides it for single calls.
        transfer_timeout: seconds for an upload, a download or a bulk write as a whole.
        keepalive: seconds of silence after which the connection is probed.
        keepalive_timeout: seconds that a probe may stay unanswered before the connection counts as dead.
        max_message_bytes: largest message in either direction, in bytes.
        retries: of calls that end UNAVAILABLE.
        tls: None connects in plain text, which only loopback should see.
        token: bearer token sent with every call; refused in plain text to another host.
        user_agent: put before gRPC's own.
        metadata: sent with every call.
    """

    timeout: float = 30.0
    transfer_timeout: float = 600.0
    keepalive: float = 30.0
    keepalive_timeout: float = 15.0
    max_message_bytes: int = 64 << 20
    retries: Retries = Retries()
    tls: Tls | None = None
    token: str = field(default="", repr=False)
    user_agent: str = "synapsenet-python"
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("timeout", "transfer_timeout", "keepalive", "keepalive_timeout", "max_message_bytes"):
            if getattr(self, name) <= 0:
                raise InvalidArgument(f"{name}: must be positive", reason="OPTION_OUT_OF_RANGE")


def chosen_target(target: str) -> str:
    """`target`, else $SYNAPSENET_TARGET, else where `synapsenet dev` listens."""
    return target or os.environ.get(TARGET_VARIABLE, "") or DEFAULT_TARGET


def refuse_token_in_the_clear(target: str, options: Options) -> None:
    """A bearer token must not cross a network in plain text.

    Raises:
        InvalidArgument: there is a token, no TLS, and `target` is not on this machine.
    """
    if options.token and options.tls is None and not _on_this_machine(target):
        raise InvalidArgument(
            f"token: it would cross the network to {target} in plain text: give tls as well", reason="TOKEN_WITHOUT_TLS"
        )


def _on_this_machine(target: str) -> bool:
    if target.startswith("unix"):
        return True
    host = target.removeprefix("dns:").lstrip("/").removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
