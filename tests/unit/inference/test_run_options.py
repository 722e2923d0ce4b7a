"""How a deployment is to be run, on its way through a lifecycle operation and back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from synapsenet.errors import InvalidArgument, NotYetAvailable
from synapsenet.inference.model import BatchingPolicy
from synapsenet.inference.run_options import RunOptions, read_options
from synapsenet.platform.records import decode, encode
from synapsenet.platform.work import Request

DEFAULTS = BatchingPolicy()


def read(given: Any) -> RunOptions:
    return read_options(given, DEFAULTS, model="mdl-1", version=1)


def test_options_come_back_as_they_went_through_json() -> None:
    policy = BatchingPolicy(max_batch_size=7, max_linger=timedelta(seconds=1 / 512), max_running_batches=1)
    options = RunOptions(batching=policy, relaxed=True, pinned=True, request=Request("wish", b"\x00\xff"))
    assert read(decode(dict, encode(options.to_json()))) == options


def test_what_is_left_out_is_the_servers_to_choose() -> None:
    assert read({}) == RunOptions(batching=DEFAULTS)
    assert read({"batching": {"max_batch_size": 3}}).batching == BatchingPolicy(max_batch_size=3)


@pytest.mark.parametrize(
    "given",
    [
        {"batching": "fast"},
        {"batching": {"max_batch_size": "many"}},
        {"batching": {"mode": "BEST"}},
        {"batching": {"max_linger_s": 1e300}},
        {"determinism": "SOME"},
        {"request_digest": "not hexadecimal"},
    ],
)
def test_options_that_make_no_sense_are_refused(given: Any) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        read(given)
    assert refusal.value.reason == "OPTIONS_INVALID"


def test_options_that_are_judged_where_a_deployment_is_asked_for_are_judged_here_too() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        read({"batching": {"max_batch_size": 0}})
    assert refusal.value.reason == "BATCHING_INVALID"
    with pytest.raises(NotYetAvailable):
        read({"batching": {"mode": "ADAPTIVE"}})
    with pytest.raises(NotYetAvailable):
        read({"determinism": "NATIVE"})
