"""Options say what they refuse, and become channel arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synapsenet_client import InvalidArgument, Options, Retries, Tls, connect
from synapsenet_client._channel import channel_arguments, service_config
from synapsenet_client._options import chosen_target, refuse_token_in_the_clear


def test_only_unavailable_is_retried_and_within_a_budget() -> None:
    config = json.loads(service_config(Retries()))
    (method,) = config["methodConfig"]
    assert method["name"] == [{}]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert config["retryThrottling"] == {"maxTokens": 20, "tokenRatio": 0.1}


def test_one_attempt_means_no_retries() -> None:
    arguments = dict(channel_arguments(Options(retries=Retries(attempts=1))))
    assert arguments["grpc.enable_retries"] == 0
    assert json.loads(arguments["grpc.service_config"]) == {}


@pytest.mark.parametrize(
    "given", [{"timeout": 0}, {"transfer_timeout": -1}, {"keepalive": 0}, {"keepalive_timeout": 0}, {"max_message_bytes": 0}]
)
def test_a_bound_that_is_none_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=f"{next(iter(given))}: must be positive"):
        Options(**given)


@pytest.mark.parametrize("attempts", [0, 6])
def test_attempts_are_what_grpc_can_do(attempts: int) -> None:
    with pytest.raises(InvalidArgument, match="attempts must be 1 to 5"):
        Retries(attempts=attempts)


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(InvalidArgument, match="certificate and key belong together"):
        Tls(certificate=Path("client.pem"))


@pytest.mark.parametrize(
    "target", ["localhost:7400", "127.0.0.1:1", "[::1]:1", "ipv4:127.0.0.1:1", "unix:/run/s.sock", "dns:///localhost:1"]
)
def test_a_token_may_travel_in_plain_text_on_this_machine(target: str) -> None:
    refuse_token_in_the_clear(target, Options(token="t"))  # no real one


@pytest.mark.parametrize("target", ["platform:7400", "10.0.0.1:7400", "localhost.example.org:1", "dns:///platform:1"])
def test_a_token_never_crosses_a_network_in_plain_text(target: str) -> None:
    with pytest.raises(InvalidArgument, match="token: it would cross the network"):
        connect(target, options=Options(token="t"))  # no real one
    refuse_token_in_the_clear(target, Options(token="t", tls=Tls()))  # no real one


def test_an_unreadable_pem_file_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"tls\.ca: /nowhere/ca\.pem cannot be read"):
        connect("platform:7400", options=Options(tls=Tls(ca=Path("/nowhere/ca.pem"))))


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(Options(token="secret"))  # no real one


def test_the_target_is_the_argument_then_the_environment_then_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSENET_TARGET", "there:1")
    assert chosen_target("here:1") == "here:1"
    assert chosen_target("") == "there:1"
    monkeypatch.delenv("SYNAPSENET_TARGET")
    assert chosen_target("") == "localhost:7400"
