"""The command that tries the lifecycle, at a length for every day."""

from __future__ import annotations

import re
import subprocess

from synapsenet.lifecycle.audit import Findings
from tests.chaos.lifecycle.conftest import Judge
from tests.live import CLI

OPERATIONS = 24
WITHIN_S = 240.0


def test_random_operations_under_random_faults_leave_nothing_wrong(judge: Judge) -> None:
    command = [*CLI, "lifecycle", "torture", "--operations", str(OPERATIONS), "--faults", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "lost events 0, illegal states 0, stuck operations 0"
    (faults,) = re.findall(r"^faults (\d+)$", done.stdout, re.MULTILINE)
    assert int(faults) * 10 >= OPERATIONS
    judge("random operations under random faults", faults=int(faults), findings=Findings())
