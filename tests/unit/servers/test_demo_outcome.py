"""What the demo tells at its end, and how it ends: badly, if the failure that it provoked was not survived."""

from __future__ import annotations

import json

import pytest

from synapsenet_cli.main import main
from synapsenet_servers.commands.demo.journey import Journey
from synapsenet_servers.commands.demo.outcome import Outcome


def outcome(*, restored: bool) -> Outcome:
    return Outcome(
        images=1_797,
        sync_accuracy=0.97,
        served_accuracy=0.97,
        rows_per_second=10_000.0,
        model="digits:1",
        experiment_id="exp-1",
        best_learning_rate=0.5,
        p_value=0.01,
        importance={"learning_rate": 1.0},
        oldest_ms=1_000.0,
        rollback_restored=restored,
        grpc="127.0.0.1:1",
        http="127.0.0.1:2",
        seconds=20.0,
    )


@pytest.mark.parametrize("words", [["demo"], ["--json", "demo"]])
@pytest.mark.parametrize("restored", [True, False])
def test_a_model_that_does_not_serve_as_before_ends_the_demo_with_one_sentence_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], restored: bool
) -> None:
    monkeypatch.setattr(Journey, "run", lambda _self: outcome(restored=restored))
    assert main(["--target", "127.0.0.1:1", *words]) == (0 if restored else 1)
    out, err = capsys.readouterr()
    told = [line for line in err.splitlines() if "DEMO_NOT_RESTORED" in line]
    assert len(told) == (0 if restored else 1)
    if told:
        assert told[0].startswith("error: digits:1 does not serve as before a deployment with a damaged artifact")
    if "--json" in words:
        assert json.loads(out)["rollback_restored"] is restored
