"""The demo's own platform dies: whoever waits for it is told, even if no connection tells of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.live import CLI

LONGEST_S = 60.0
UNAVAILABLE = 14  # the exit code of that status

WAITING = """
import sys, time
from pathlib import Path
import psutil
from synapsenet.errors import SynapseError
from synapsenet_servers.commands.demo.own_platform import own_platform

try:
    with own_platform(Path(sys.argv[1])):
        psutil.Process().children()[0].kill()
        time.sleep(60)
except SynapseError as error:
    print(error.public)
"""


def test_a_demo_whose_platform_is_killed_ends_with_one_sentence(tmp_path: Path) -> None:
    command = [*CLI, "demo", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        shown = next(line for line in demo.stdout if "build training sets" in line)
        (platform,) = psutil.Process(demo.pid).children()
        os.kill(platform.pid, signal.SIGKILL)
        rest, _ = demo.communicate(timeout=LONGEST_S)
    assert demo.returncode == UNAVAILABLE, shown + rest
    assert rest.count("error:") == 1, rest
    assert "Traceback" not in rest


def test_who_waits_for_no_connection_hears_of_the_platforms_death_too(tmp_path: Path) -> None:
    begun = time.monotonic()
    waiting = subprocess.run(
        [sys.executable, "-c", WAITING, str(tmp_path / "data")], capture_output=True, text=True, timeout=LONGEST_S, check=True
    )
    assert waiting.stdout == "the platform ended with -9: see the lines above, and try again\n"
    assert time.monotonic() - begun < LONGEST_S / 2
