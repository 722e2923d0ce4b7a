"""What a wish for a state is, and what the coordinator is asked about it."""

from __future__ import annotations

import pytest

from synapsenet.errors import InvalidArgument
from synapsenet.registry.model import Condition, State
from synapsenet.registry.moves import Move


def test_a_reason_is_no_novel() -> None:
    assert Move(to=State.SERVING, reason="x" * 1_024).reason
    with pytest.raises(InvalidArgument) as refusal:
        Move(to=State.SERVING, reason="x" * 1_025)
    assert refusal.value.field == "reason"


def test_a_condition_says_something() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        Condition(reason="")
    assert refusal.value.field == "condition.reason"
