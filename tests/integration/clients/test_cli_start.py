"""How the command line starts: quickly, with the platform's commands where it is installed, and a sentence where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synapsenet_cli import exits

CLIENTS = Path(__file__).parents[3] / "clients"
PROGRAM = "import sys; from synapsenet_cli.main import main; sys.exit(main())"

# A light install has no entry point of the platform, or one whose dependencies are missing.
ABSENT = "import synapsenet_cli.platform_commands as p; p.entry_points = lambda group: (); "
BARE = """
import synapsenet_cli.platform_commands as p
class Entry:
    name = "platform"
    def load(self): raise {problem}
p.entry_points = lambda group: (Entry(),)
"""


def started(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CLIENTS)}
    return subprocess.run(  # ours
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, env=environment, check=False
    )


def test_help_starts_quickly_and_imports_neither_grpc_nor_numpy() -> None:
    heavy = "{'grpc', 'numpy', 'rich.table'} & set(sys.modules)"
    program = PROGRAM.replace("sys.exit(main())", f"main(['--help']); print({heavy})")
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        imported = started(program).stdout.splitlines()[-1]
        took.append(time.perf_counter() - begun)
        assert imported == "set()"
    assert min(took) < 0.5


@pytest.mark.parametrize("name", ["dev", "demo", "serve", "up"])
@pytest.mark.parametrize("light", [ABSENT, BARE.format(problem='ModuleNotFoundError("No module named sqlalchemy")')])
def test_a_light_install_says_what_to_install(name: str, light: str) -> None:
    run = started(light + PROGRAM, name, "--port", "1")
    assert run.returncode == exits.FAILED
    said = f"`synapsenet {name}` needs the platform, and only the SDK is installed"
    assert run.stderr == f'error: {said}: pip install "synapsenet[server]"\n'


def test_a_broken_plugin_takes_no_other_command_away() -> None:
    run = started(BARE.format(problem='RuntimeError("half installed")') + PROGRAM, "models", "--help")
    assert run.returncode == exits.OK
    assert "Create a model." in run.stdout
    assert run.stderr.startswith("error: the commands of platform could not be loaded (RuntimeError: half installed)")


def test_a_closed_pipe_is_no_trace() -> None:
    program = PROGRAM.replace("sys.exit(main())", "sys.stdout.close(); sys.exit(main(['--help']))")
    assert "Traceback" not in started(program).stderr


def test_the_version_is_told() -> None:
    run = started(PROGRAM, "--version")
    assert run.returncode == exits.OK
    assert run.stdout.startswith("synapsenet 0.")
