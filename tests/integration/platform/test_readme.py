"""The README's commands, run as they stand there; only ports and data folder are the test's own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import LivePlatform, live_platform

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines() if line]
PROGRAMS = [text for language, text in BLOCKS if language == "python"]

# Run by the tests below, or by whoever runs this test.
APART = ("make test", "make demo", ".venv/bin/synapsenet dev")


def spoken(line: str) -> str:
    """A command without its comment."""
    return re.sub(r"\s+#.*$", "", line)


def addressed(text: str, platform: LivePlatform) -> str:
    """`text` with the addresses of `platform` for those that the README names."""
    there = text.replace("localhost:7400", platform.grpc).replace("localhost:7480", platform.http)
    return there.replace(".venv/bin/synapsenet ", f".venv/bin/synapsenet --target {platform.grpc} ")


def run(command: str, *, seconds: float = 60) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_it_fits_two_screens() -> None:
    assert len(README.splitlines()) <= 100


def test_every_command_is_run_by_a_test() -> None:
    assert {spoken(line) for line in COMMANDS} >= set(APART)
    assert PROGRAMS


@pytest.mark.timeout(400)
def test_the_first_command_does_the_main_job_and_a_second_run_works_on_its_data(tmp_path: Path) -> None:
    shown = run(f"make demo ARGS='--data-dir {tmp_path}'", seconds=180)
    assert "rows/s" in shown
    assert "Holm" in shown
    assert "load failed, undone; version 1 answers as before" in shown
    outcome = json.loads(run(f".venv/bin/synapsenet demo --data-dir {tmp_path} --json", seconds=180))
    assert outcome["sync_accuracy"] >= 0.95
    assert outcome["served_accuracy"] == outcome["sync_accuracy"]
    assert outcome["rows_per_second"] > 0
    assert 0 < outcome["p_value"] < 0.05
    assert 0 < outcome["seconds"] < 90
    assert outcome["model"] == "digits:3", "the first run's models are there"
    assert outcome["rollback_restored"] is True


def test_the_python_program_and_the_shell_commands_work_in_their_order(tmp_path: Path) -> None:
    with live_platform(tmp_path) as platform:
        for number, program in enumerate(PROGRAMS):
            script = tmp_path / f"readme-{number}.py"
            script.write_text(addressed(program, platform), encoding="utf-8")
            assert run(f"{sys.executable} {script}")
        for command in map(spoken, COMMANDS):
            if command not in APART:
                assert run(addressed(command, platform)) is not None
