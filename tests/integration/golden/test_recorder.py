"""The recorder and the comparison: two recordings are the same, and no difference that matters goes unnoticed."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from synapsenet_servers.not_yet_available.row import Row
from synapsenet_servers.not_yet_available.table import TABLE
from tests.golden.calls import Outcome
from tests.golden.contracts import Contracts
from tests.golden.conversations import read_conversation, talk
from tests.golden.files import CALLS, CONVERSATIONS, DESCRIPTORS, PRE_MIGRATION, SUMS
from tests.golden.record import record
from tests.golden.replay import Recorded, Replay, differences, recorded_calls
from tests.golden.stage import open_stage


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


async def test_a_platform_that_answers_otherwise_than_was_recorded_is_found_out(tmp_path: Path, contracts: Contracts) -> None:
    shutil.copytree(PRE_MIGRATION, tmp_path / "recorded")
    for method, old, new in (
        ("synapsenet.models.v1.ModelService/GetModel", "Whole numbers in", "Other numbers in"),
        ("synapsenet.inference.v1.InferenceService/UndeployModel", "DEPLOYMENT_UNKNOWN", "DEPLOYMENT_GONE"),
        ("synapsenet.training.v1.TrainingService/ListWorkers", '"pid": 1003', '"pid": 1004'),
    ):
        path = tmp_path / "recorded" / CALLS / f"{method}.json"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")
    async with open_stage(tmp_path / "data") as stage:
        replay = Replay(tmp_path / "recorded", contracts, stage, absent=TABLE)
        await replay.run()
    assert len(replay.differences) == 3
    assert "Other numbers in" in replay.differences[0]
    assert "DEPLOYMENT_GONE" in replay.differences[1]
    assert "pid was 1004, is 1003" in replay.differences[2]


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


def test_a_detail_of_a_refusal_is_compared_as_far_as_the_recorded_contracts_know_it(contracts: Contracts) -> None:
    status = Status(code=5)
    status.details.add().Pack(ErrorInfo(reason="MODEL_UNKNOWN", metadata={"b": "2", "a": "1"}))
    recorded = contracts.details(status.SerializeToString())
    assert recorded == [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "MODEL_UNKNOWN", "metadata": {"a": "1", "b": "2"}}
    ]
    status.details[0].value += bytes([0xFA, 0x7F, 3]) + b"new"
    status.details.add(type_url="type.googleapis.com/synapsenet.later.v1.Advice", value=b"anything")
    assert contracts.details(status.SerializeToString()) == recorded


def test_what_was_not_available_yet_is_asked_again_only_while_its_row_stands(calls: list[Recorded]) -> None:
    to_come = [recorded for recorded in calls if not recorded.call.still_made(())]
    assert len(to_come) > 30
    assert {recorded.answered["status"]["code"] for recorded in to_come} == {"UNIMPLEMENTED"}
    for recorded in to_come:
        row = Row(method=f"/{recorded.call.method}", option=recorded.call.to_come or "", brings="")
        assert recorded.call.still_made([row]), recorded.name
        assert not recorded.call.still_made([Row(method=row.method, option="another", brings="")]), recorded.name


def test_whatever_else_was_refused_is_refused_for_ever(calls: list[Recorded]) -> None:
    for recorded in calls:
        details = (recorded.answered["status"] or {}).get("details", [])
        unavailable = any(detail.get("reason") == "NOT_YET_AVAILABLE" for detail in details)
        assert recorded.call.still_made(()) is not unavailable, recorded.name


@pytest.mark.parametrize("place", [0, 1, 4, 10])
def test_one_other_byte_of_the_training_stream_is_noticed(place: int) -> None:
    recorded = read_conversation(PRE_MIGRATION / CONVERSATIONS / "one-worker.json")
    turn = recorded.turns[place]
    heard = [bytes([*turn.hears[0][:-1], turn.hears[0][-1] ^ 1]), *turn.hears[1:]]
    turns = [*recorded.turns[:place], replace(turn, hears=heard), *recorded.turns[place + 1 :]]
    assert talk(recorded.setting, turns) != turns
    assert talk(recorded.setting, turns) == recorded.turns
