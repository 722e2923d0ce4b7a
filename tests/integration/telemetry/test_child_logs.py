"""Child processes log as their parent tells them, up to their last words."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from synapsenet_servers.telemetry.child_logs import log_variables
from synapsenet_servers.telemetry.options import TelemetryOptions

CHILD = """
import logging
from synapsenet_servers.telemetry.child_logs import configure_child_logs
configure_child_logs("worker")
logging.getLogger("x").info("begun")
raise RuntimeError("it broke")
"""


def said(options: TelemetryOptions) -> str:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"], **log_variables(options)}
    ended = subprocess.run(
        [sys.executable, "-c", CHILD], check=False, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    return ended.stderr


def test_a_child_of_a_parent_that_logs_json_does_so_to_its_end() -> None:
    begun, broke = (json.loads(line) for line in said(TelemetryOptions(log_format="json", log_level="info")).splitlines())
    assert (begun["message"], begun["service"], begun["level"]) == ("begun", "worker", "info")
    assert (broke["level"], broke["error"]["type"], broke["error"]["message"]) == ("critical", "RuntimeError", "it broke")


def test_a_child_of_a_parent_that_logs_for_people_does_so() -> None:
    text = said(TelemetryOptions())
    assert "begun" not in text
    assert text.strip().endswith("RuntimeError: it broke")
