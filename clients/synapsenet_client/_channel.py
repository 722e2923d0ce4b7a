"""Opening a gRPC channel, blocking or asyncio, with one set of arguments and one service config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc

from synapsenet_client._errors import InvalidArgument
from synapsenet_client._options import Options, Retries, refuse_token_in_the_clear


def open_channel(target: str, options: Options) -> grpc.Channel:
    refuse_token_in_the_clear(target, options)
    if options.tls is None:
        return grpc.insecure_channel(target, options=channel_arguments(options))
    return grpc.secure_channel(target, _credentials(options), options=channel_arguments(options))


def open_aio_channel(target: str, options: Options) -> grpc.aio.Channel:
    refuse_token_in_the_clear(target, options)
    if options.tls is None:
        return grpc.aio.insecure_channel(target, options=channel_arguments(options))
    return grpc.aio.secure_channel(target, _credentials(options), options=channel_arguments(options))


def channel_arguments(options: Options) -> list[tuple[str, Any]]:
    arguments: list[tuple[str, Any]] = [
        ("grpc.service_config", service_config(options.retries)),
        ("grpc.enable_retries", int(options.retries.attempts > 1)),
        # gRPC's own go up to two minutes: a platform that is back would be missed for as long.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.keepalive_time_ms", int(options.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", int(options.keepalive_timeout * 1000)),
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.primary_user_agent", options.user_agent),
    ]
    if options.tls is not None and options.tls.server_name:
        arguments.append(("grpc.ssl_target_name_override", options.tls.server_name))
    return arguments


def service_config(retries: Retries) -> str:
    """The gRPC service config as JSON: which calls are retried, how often, and the budget that all of them share."""
    if retries.attempts == 1:
        return "{}"
    policy = {
        "maxAttempts": retries.attempts,
        "initialBackoff": f"{retries.first_backoff}s",
        "maxBackoff": f"{retries.longest_backoff}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps(
        {
            "methodConfig": [{"name": [{}], "retryPolicy": policy}],
            "retryThrottling": {"maxTokens": retries.budget, "tokenRatio": retries.refill},
        }
    )


def _credentials(options: Options) -> grpc.ChannelCredentials:
    assert options.tls is not None
    return grpc.ssl_channel_credentials(
        root_certificates=_pem("tls.ca", options.tls.ca),
        private_key=_pem("tls.key", options.tls.key),
        certificate_chain=_pem("tls.certificate", options.tls.certificate),
    )


def _pem(name: str, path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as problem:
        sentence = f"{name}: {path} cannot be read ({problem.strerror}): name a PEM file"
        raise InvalidArgument(sentence, reason="FILE_UNREADABLE") from problem
