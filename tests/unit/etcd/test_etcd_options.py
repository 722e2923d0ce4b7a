"""What an operator may set of etcd's connection is judged by its sentences; a token holds epoch and revision in 63 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synapsenet.adapters.etcd.epochs import Epoch
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.errors import InvalidArgument, ResourceExhausted


@pytest.mark.parametrize(
    ("values", "reason", "sentence"),
    [
        ({"endpoints": ()}, "ETCD_ENDPOINTS_MISSING", "name at least one host:port"),
        ({"endpoints": ("http://a:2379",)}, "ETCD_ENDPOINT_INVALID", "without http://"),
        ({"endpoints": ("a:2379", "b")}, "ETCD_ENDPOINT_INVALID", "'b' is no host:port"),
        ({"endpoints": ("a:0",)}, "ETCD_ENDPOINT_INVALID", "'a:0'"),
        ({"prefix": "/synapsenet"}, "ETCD_PREFIX_INVALID", "end it with /"),
        ({"user": "me"}, "ETCD_PASSWORD_MISSING", "together, or neither"),
        ({"password_file": Path("p")}, "ETCD_PASSWORD_MISSING", "together, or neither"),
        ({"ca_file": Path("c"), "key_file": Path("k")}, "ETCD_KEY_MISSING", "together, or neither"),
        ({"certificate_file": Path("c"), "key_file": Path("k")}, "ETCD_CA_MISSING", "the authority"),
        ({"session_ttl_s": 1.0}, "ETCD_TTL_INVALID", "2 to 300 seconds"),
        ({"attempt_s": 6.0}, "ETCD_TIMEOUTS_INVALID", "no shorter than it"),
        ({"ping_s": 1.0}, "ETCD_PING_INVALID", "5 seconds or more"),
    ],
)
def test_what_cannot_work_is_refused_with_its_key_and_a_remedy(values: dict[str, Any], reason: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        EtcdOptions(**values)
    assert refusal.value.reason == reason
    assert refusal.value.field.startswith("etcd.")
    assert sentence in refusal.value.public


def test_names_and_addresses_of_both_families_are_endpoints() -> None:
    EtcdOptions(endpoints=("etcd-0.etcd:2379", "10.0.0.1:2379", "[::1]:2379"))


def test_a_later_epoch_outweighs_every_revision_and_the_number_stays_a_positive_int64() -> None:
    highest = Epoch(1, 0).stamped((1 << 40) - 1)
    assert Epoch(2, 0).stamped(1) > highest > Epoch(1, 0).stamped(1)
    assert Epoch((1 << 23) - 1, 0).stamped((1 << 40) - 1) == (1 << 63) - 1
    assert Epoch(9, 0).written < Epoch(10, 0).written < Epoch((1 << 23) - 1, 0).written


@pytest.mark.parametrize("number", [(1, 1 << 40), (1 << 23, 1)])
def test_what_no_token_can_hold_is_refused_instead_of_wrapped(number: tuple[int, int]) -> None:
    epoch, revision = number
    with pytest.raises(ResourceExhausted):
        Epoch(epoch, 0).stamped(revision)
