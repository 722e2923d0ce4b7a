"""Channels from one part of the platform to another: retries of what was not taken, a deadline on every unary call, and for
whom it is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc

from synapsenet_servers import telemetry
from synapsenet_servers.security.acting import header

_DEADLINE_S = 30.0
_MESSAGE_BYTES = 128 << 20

# Only UNAVAILABLE is retried: the call was not carried out. The throttle ends retries while most calls fail.
_SERVICE_CONFIG: dict[str, Any] = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}


def open_channel(address: str, *, patient: bool = False) -> grpc.aio.Channel:
    """A channel to `host:port` or `unix:path`; it connects when it is first used.

    Args:
        patient: calls wait, up to their deadline, for a listener that is away, as a host's Envoy is while it is restarted.
    """
    seen = telemetry.current().channel_interceptors()
    interceptors: Any = [DefaultDeadline(), OnBehalf(), *seen]  # the last one stands next to the wire
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.service_config", json.dumps(_service_config(patient))),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ],
        interceptors=interceptors,
    )


def _service_config(patient: bool) -> dict[str, Any]:
    methods = [{**method, "waitForReady": patient} for method in _SERVICE_CONFIG["methodConfig"]]
    return {**_SERVICE_CONFIG, "methodConfig": methods}


class DefaultDeadline(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # not generic at run time
    """Gives a unary call without a deadline one of 30 seconds."""

    async def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        if details.timeout is None:
            details = details._replace(timeout=_DEADLINE_S)
        return await continuation(details, request)


class OnBehalf(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # not generic at run time
    """Says with a unary call for whom it is made; who answers believes it of the mesh alone."""

    async def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        if (told := header()) is not None:
            details = details._replace(metadata=grpc.aio.Metadata(*(details.metadata or ()), told))
        return await continuation(details, request)
