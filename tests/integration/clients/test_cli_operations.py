"""Operations on the command line: their steps as they go on, and commands that end as they did."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status

from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as pb
from synapsenet_api.lifecycle.v1.lifecycle_event_pb2 import LifecycleEvent
from synapsenet_api.lifecycle.v1.operation_pb2 import Operation, OperationState, StepProgress, StepState
from synapsenet_api.lifecycle.v1.validation_report_pb2 import Comparator, Threshold
from synapsenet_api.lifecycle.v1.version_status_pb2 import Transition
from synapsenet_cli import exits
from synapsenet_cli.main import main
from tests.integration.clients.scripted import Listening, Refusal, ScriptedPlatform
from tests.integration.clients.test_cli_commands import Run, run

__all__ = ["run"]

CORRUPT = Status(code=15, message="the artifact of digits:2 is not what was uploaded: upload it again")


def operation(state: str, *steps: str, error: Status | None = None) -> Operation:
    names = ("reserve", "fetch", "load")
    progress = [
        StepProgress(name=name, state=StepState.Value(f"STEP_STATE_{step}")) for name, step in zip(names, steps, strict=False)
    ]
    number = OperationState.Value(f"OPERATION_STATE_{state}")
    return Operation(id="op-1", saga="deploy", version=2, state=number, steps=progress, error=error)


def watched(*changes: Operation) -> Any:
    def answers(request: pb.WatchOperationRequest) -> Iterator[pb.WatchOperationResponse]:
        return iter([pb.WatchOperationResponse(operation=change) for change in changes])

    return answers


SUCCEEDING = (
    operation("RUNNING", "RUNNING", "PENDING", "PENDING"),
    operation("RUNNING", "DONE", "RUNNING", "PENDING"),
    operation("SUCCEEDED", "DONE", "DONE", "DONE"),
)
FAILING = (
    operation("RUNNING", "DONE", "RUNNING", "PENDING"),
    operation("COMPENSATING", "COMPENSATING", "FAILED", "PENDING", error=CORRUPT),
    operation("COMPENSATED", "COMPENSATED", "FAILED", "PENDING", error=CORRUPT),
)


def test_a_watched_deployment_tells_its_steps(run: Run, platform: ScriptedPlatform) -> None:
    platform.answers["DeployVersion"] = pb.DeployVersionResponse(operation=operation("WAITING"))
    platform.answers["WatchOperation"] = watched(*SUCCEEDING)
    code, out, err = run("models", "deploy", "digits:2", "--watch", "--traffic", "1=0.9", "--traffic", "2=0.1", "--wait", "5s")
    assert (code, err) == (exits.OK, "")
    assert out.splitlines() == [
        "op-1 deploy RUNNING: reserve RUNNING",
        "op-1 deploy RUNNING: reserve DONE, fetch RUNNING",
        "op-1 deploy SUCCEEDED: reserve DONE, fetch DONE, load DONE",
    ]
    asked = platform.requests[0]
    assert (asked.model_id, asked.version, asked.intent.wait.seconds) == ("digits", 2, 5)
    assert {share.version: share.fraction for share in asked.traffic} == {1: 0.9, 2: 0.1}


def test_without_watching_the_operation_is_shown_as_it_was_accepted(run: Run, platform: ScriptedPlatform) -> None:
    platform.answers["DeployVersion"] = pb.DeployVersionResponse(operation=operation("WAITING"))
    code, out, _ = run("models", "deploy", "digits:2", "--json")
    assert (code, json.loads(out)["state"]) == (exits.OK, "OPERATION_STATE_WAITING")
    assert len(platform.requests) == 1


def test_one_that_is_undone_fails_with_its_own_sentence_and_code(run: Run, platform: ScriptedPlatform) -> None:
    platform.answers["WatchOperation"] = watched(*FAILING)
    code, out, err = run("lifecycle", "operations", "watch", "op-1", "--json")
    assert (code, err) == (exits.BY_ERROR["DataLoss"], f"error: {CORRUPT.message}\n")
    *changes, error = (json.loads(line) for line in out.splitlines())
    assert [change["state"] for change in changes] == [OperationState.Name(change.state) for change in FAILING]
    assert error["error"]["metadata"] == {"operation_id": "op-1"}


def test_a_wait_that_is_too_short_has_the_code_of_a_deadline(run: Run, platform: ScriptedPlatform) -> None:
    platform.answers["WaitOperation"] = pb.WaitOperationResponse(operation=operation("NEEDS_ATTENTION"))
    code, out, err = run("lifecycle", "operations", "wait", "op-1", "--for", "250ms", "--json")
    assert code == exits.BY_ERROR["DeadlineExceeded"]
    assert "NEEDS_ATTENTION" in err
    assert json.loads(out.splitlines()[0])["id"] == "op-1"
    assert platform.requests[0].timeout.ToMilliseconds() == 250


class Terminal(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("changes", "last"), [(SUCCEEDING, "SUCCEEDED"), (FAILING, "COMPENSATED")])
def test_on_a_terminal_the_steps_are_drawn(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, changes: tuple[Operation, ...], last: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    listening.platform.answers["WatchOperation"] = watched(*changes)
    code = main(["--target", listening.target, "lifecycle", "operations", "watch", "op-1"])
    assert code == (exits.OK if last == "SUCCEEDED" else exits.BY_ERROR["DataLoss"])
    drawn = terminal.getvalue()
    assert last in drawn
    assert "fetch" in drawn
    assert "\x1b[" in drawn, "what was drawn is drawn over"


def test_thresholds_are_sent_as_the_contract_has_them(run: Run, platform: ScriptedPlatform) -> None:
    platform.answers["ValidateVersion"] = pb.ValidateVersionResponse(operation=operation("RUNNING"))
    code, _, _ = run(
        "lifecycle", "validate", "digits", "2", "--on", "ts-1", "--label", "digits:label",
        "--threshold", "accuracy>=0.95", "--threshold", "loss<1",
    )  # fmt: skip
    assert code == exits.OK
    asked = platform.requests[0]
    assert (asked.evaluation_set_id, asked.label) == ("ts-1", "digits:label")
    assert list(asked.thresholds) == [
        Threshold(metric="accuracy", comparator=Comparator.COMPARATOR_AT_LEAST, value=0.95),
        Threshold(metric="loss", comparator=Comparator.COMPARATOR_LESS, value=1.0),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("models", "deploy", "digits"), exits.USAGE, "is no NAME:VERSION"),
        (("models", "deploy", "digits:new"), exits.USAGE, "is no NAME:VERSION"),
        (("lifecycle", "promote", "digits", "2", "--traffic", "new=1"), exits.USAGE, "is no version's number"),
        (("lifecycle", "promote", "digits", "2", "--traffic", "2=most"), exits.USAGE, "is no number"),
        (("lifecycle", "validate", "digits", "2", "--threshold", "good"), 3, "'good' is no threshold"),
    ],
)
def test_what_cannot_be_read_is_not_sent(
    run: Run, platform: ScriptedPlatform, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended, _, err = run(*arguments)
    assert (ended, said in " ".join(err.replace("│", " ").split())) == (code, True), err
    assert platform.requests == []


def test_the_diagram_is_printed_as_it_is(run: Run, platform: ScriptedPlatform) -> None:
    platform.answers["GetStateMachine"] = pb.GetStateMachineResponse(diagram="stateDiagram-v2\n    [*] --> created\n")
    assert run("lifecycle", "graph")[1] == "stateDiagram-v2\n    [*] --> created\n"
    assert json.loads(run("lifecycle", "graph", "--json")[1])["diagram"].startswith("stateDiagram-v2\n")


def test_an_event_is_told_in_one_line(run: Run, platform: ScriptedPlatform) -> None:
    moved = Transition(version=2, from_state="deploying", to_state="serving", event="begin_serving")
    event = LifecycleEvent(position=17, model_id="mdl-1", sequence=4, transition=moved)
    platform.answers["WatchEvents"] = lambda request: iter([pb.WatchEventsResponse(event=event)])
    assert run("lifecycle", "events")[1] == "17 mdl-1 #4 version 2 deploying → serving (begin_serving)\n"


def test_a_refused_wish_is_no_operation(run: Run, platform: ScriptedPlatform) -> None:
    platform.answers["DeployVersion"] = Refusal(grpc.StatusCode.ABORTED, "MODEL_BUSY", "op-7 holds digits: wait for it")
    code, out, err = run("models", "deploy", "digits:2", "--watch")
    assert (code, out, err) == (exits.BY_ERROR["Aborted"], "", "error: op-7 holds digits: wait for it\n")
