"""The recorder and the comparison: two recordings are the same, and no difference that matters goes unnoticed."""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synapsenet_servers.not_yet_available.table import TABLE
from tests.golden.calls import Outcome
from tests.golden.contracts import Contracts
from tests.golden.conversations import read_conversation, talk
from tests.golden.files import CONVERSATIONS, DESCRIPTORS, PRE_MIGRATION, SUMS
from tests.golden.record import record
from tests.golden.replay import Recorded, differences, recorded_calls


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return Contracts.read(PRE_MIGRATION / DESCRIPTORS)


@pytest.fixture(scope="module")
def calls(contracts: Contracts) -> list[Recorded]:
    return recorded_calls(PRE_MIGRATION, contracts)


def find(calls: list[Recorded], method: str, code: str = "OK") -> Recorded:
    """The first recorded call of `method` that ended so."""
    return next(
        recorded
        for recorded in calls
        if recorded.call.method.endswith(f"/{method}")
        and recorded.answered["status"]
        and recorded.answered["status"]["code"] == code
    )


def outcome(recorded: Recorded, contracts: Contracts) -> Outcome:
    """What was recorded, as if it had come now."""
    responses = [contracts.parse_response(recorded.call.method, each) for each in recorded.answered["responses"]]
    return Outcome(responses=responses, status=recorded.answered["status"])


async def test_two_recordings_are_the_same_to_the_last_byte(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        await record(folder)
    names = (first / SUMS).read_text().split()[1::2]
    assert len(names) > 100
    assert filecmp.cmpfiles(first, second, [*names, SUMS], shallow=False) == ([*names, SUMS], [], [])


def test_an_answer_as_it_was_is_no_difference(contracts: Contracts, calls: list[Recorded]) -> None:
    for recorded in calls:
        assert differences(recorded, outcome(recorded, contracts), contracts) == []


def _rename(answer: Any) -> None:
    answer.model.name += "x"


def _forget(answer: Any) -> None:
    answer.model.ClearField("description")


def _empty(answer: Any) -> None:
    answer.model.ClearField("update_time")


def _relabel(answer: Any) -> None:
    answer.model.labels["team"] = "blue"


@pytest.mark.parametrize("change", [_rename, _forget, _empty, _relabel])
def test_a_changed_or_missing_field_is_noticed_by_its_path(
    contracts: Contracts, calls: list[Recorded], change: Callable[[Any], None]
) -> None:
    recorded = find(calls, "CreateModel")
    changed = outcome(recorded, contracts)
    change(changed.responses[0])
    [sentence] = differences(recorded, changed, contracts)
    assert "CreateModel" in sentence
    assert "model." in sentence


def test_another_sign_of_zero_is_noticed(contracts: Contracts, calls: list[Recorded]) -> None:
    recorded = find(calls, "Predict")
    changed = outcome(recorded, contracts)
    answer: Any = changed.responses[0]
    assert answer.compute_ms == 0
    answer.compute_ms = -0.0
    assert len(differences(recorded, changed, contracts)) == 1


def test_one_other_bit_of_a_prediction_is_noticed(contracts: Contracts, calls: list[Recorded]) -> None:
    recorded = find(calls, "Predict")
    changed = outcome(recorded, contracts)
    tensor: Any = changed.responses[0].outputs[0]  # type: ignore[attr-defined]  # known at run time
    tensor.data = bytes([tensor.data[0] ^ 1]) + tensor.data[1:]
    assert len(differences(recorded, changed, contracts)) == 1


def test_a_response_more_or_less_is_noticed(contracts: Contracts, calls: list[Recorded]) -> None:
    recorded = find(calls, "DownloadArtifact")
    changed = outcome(recorded, contracts)
    changed.responses.pop()
    assert "2 responses then, 1 now" in differences(recorded, changed, contracts)[0]


@pytest.mark.parametrize("part", ["code", "message", "details"])
def test_another_status_is_noticed(contracts: Contracts, calls: list[Recorded], part: str) -> None:
    recorded = find(calls, "GetModel", "NOT_FOUND")
    changed = outcome(recorded, contracts)
    assert changed.status is not None
    changed.status = changed.status | {part: ""}
    assert "status was" in differences(recorded, changed, contracts)[0]


def test_a_field_that_the_recorded_contracts_do_not_know_is_no_difference(contracts: Contracts, calls: list[Recorded]) -> None:
    recorded = find(calls, "CreateModel")
    known = outcome(recorded, contracts).responses[0].SerializeToString()
    newer = known + bytes([0xFA, 0x7F, 3]) + b"new"  # field 2047
    assert (
        differences(
            recorded, Outcome(responses=[contracts.response(recorded.call.method, newer)], status={"code": "OK"}), contracts
        )
        == []
    )


def test_an_answer_that_was_not_available_yet_is_promised_as_long_as_its_row_stands(calls: list[Recorded]) -> None:
    assert all(recorded.promised(TABLE) for recorded in calls)
    unmade = [recorded for recorded in calls if not recorded.promised(())]
    assert len(unmade) > 30
    assert all(recorded.answered["status"]["code"] == "UNIMPLEMENTED" for recorded in unmade)
    for row in TABLE:
        rest = [other for other in TABLE if other is not row]
        gone = [recorded for recorded in calls if not recorded.promised(rest)]
        assert bool(gone) is _recorded(row.method), row


def _recorded(method: str) -> bool:
    """Whether the recording refuses what a row of `method` is about: those of the four areas, and external ones."""
    area = method.strip("/").split(".")
    return "ControlService" not in method and (area[0] == "inference" or area[1] in ("inference", "training"))


@pytest.mark.parametrize("place", [0, 1, 4, 10])
def test_one_other_byte_of_the_training_stream_is_noticed(place: int) -> None:
    recorded = read_conversation(PRE_MIGRATION / CONVERSATIONS / "one-worker.json")
    turn = recorded.turns[place]
    heard = [bytes([*turn.hears[0][:-1], turn.hears[0][-1] ^ 1]), *turn.hears[1:]]
    turns = [*recorded.turns[:place], replace(turn, hears=heard), *recorded.turns[place + 1 :]]
    assert talk(recorded.setting, turns) != turns
    assert talk(recorded.setting, turns) == recorded.turns
