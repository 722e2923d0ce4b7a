"""The life of a model on the command line of a whole platform: validated, deployed, damaged, rolled back, told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synapsenet_cli import exits
from synapsenet_client import connect
from synapsenet_servers.commands.demo.failure import damaged
from synapsenet_servers.commands.demo.onnx_model import perceptron
from tests.live import CLI, LivePlatform, live_platform

pytestmark = pytest.mark.timeout(120)
MODEL = "little"


def little(seed: int) -> bytes:
    """A model of four pixels and two digits."""
    random = np.random.default_rng(seed)
    shapes = {"layer.0.weight": (4, 3), "layer.0.bias": (3,), "layer.1.weight": (3, 2), "layer.1.bias": (2,)}
    return perceptron({name: random.normal(size=shape).astype("f") for name, shape in shapes.items()}, input_scale=1.0)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """Versions 1 and 2 are whole, version 3 is damaged."""
    with live_platform(tmp_path_factory.mktemp("live")) as platform:
        with connect(platform.grpc) as client:
            model = client.models.create(MODEL).id
            for artifact in (little(1), little(2), damaged(little(3))):
                version = client.registry.create_version(model).version
                client.registry.upload(model, version, artifact, format="ONNX")
        yield platform


def said(live: LivePlatform, line: str) -> tuple[int, list[Any], str]:
    """Exit code, the JSON objects on stdout, and stderr of a command."""
    done = subprocess.run(
        [*CLI, "--target", live.grpc, "--json", *line.split()], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, [json.loads(text) for text in done.stdout.splitlines()], done.stderr


def states(live: LivePlatform) -> dict[int, str]:
    return {number: said(live, f"lifecycle status {MODEL} {number}")[1][0]["state"] for number in (1, 2, 3)}


def test_a_model_is_led_through_its_life(live: LivePlatform) -> None:
    for number in (1, 2):
        code, changes, problem = said(live, f"lifecycle validate {MODEL} {number} --watch")
        assert (code, changes[-1]["state"]) == (exits.OK, "OPERATION_STATE_SUCCEEDED"), problem
    assert said(live, f"lifecycle report {MODEL} 1")[1][0]["passed"] is True
    for number in (1, 2):
        code, changes, problem = said(live, f"models deploy {MODEL}:{number} --watch --reason because")
        assert (code, changes[-1]["state"]) == (exits.OK, "OPERATION_STATE_SUCCEEDED"), problem
        assert [step["state"] for step in changes[-1]["steps"]] == ["STEP_STATE_DONE"] * 6
        revisions = [change["revision"] for change in changes]
        assert len(changes) > 2, "the steps are seen as they go on"
        assert len(set(revisions)) == len(revisions)
    assert states(live) == {1: "registered", 2: "serving", 3: "validating"}

    code, _, problem = said(live, f"models deploy {MODEL}:3 --watch")
    assert code == exits.BY_ERROR["FailedPrecondition"]
    assert "is validating, where deploy cannot happen" in problem
    assert said(live, f"lifecycle transition {MODEL} 3 approve")[0] == exits.OK
    code, told, problem = said(live, f"models deploy {MODEL}:3 --watch")
    *changes, error = told
    assert code == exits.BY_ERROR[error["error"]["class"]]
    assert error["error"]["reason"] == "MODEL_UNREADABLE"
    assert changes[-1]["state"] == "OPERATION_STATE_COMPENSATED"
    assert problem == f"error: {changes[-1]['error']['message']}\n"
    assert states(live) == {1: "registered", 2: "serving", 3: "registered"}

    code, (waited, *_), _ = said(live, f"lifecycle operations wait {changes[-1]['id']}")
    assert (code, waited["id"]) == (exits.BY_ERROR[error["error"]["class"]], changes[-1]["id"])
    code, _, problem = said(live, f"lifecycle operations retry {waited['id']}")
    assert code == exits.BY_ERROR["FailedPrecondition"], problem
    assert said(live, f"lifecycle roll-back {MODEL} --watch")[0] == exits.OK
    assert states(live) == {1: "serving", 2: "registered", 3: "registered"}
    assert said(live, f"lifecycle archive {MODEL} 3 --watch")[0] == exits.OK

    history = said(live, f"lifecycle history {MODEL} --version 3")[1][0]["transitions"]
    assert [moved["event"] for moved in history] == ["archive", "fail_deployment", "deploy", "approve", "upload", "create"]
    listed = said(live, f"lifecycle operations list --model {MODEL} --saga deploy --state COMPENSATED")[1][0]["operations"]
    assert [operation["id"] for operation in listed] == [changes[-1]["id"]]


def test_the_diagram_is_that_of_the_page(live: LivePlatform) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{said(live, 'lifecycle graph')[1][0]['diagram']}```" in page
