"""No child outlives its parent: real processes, killed the hard way."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import synapsenet_servers

# A process that starts `depth` generations below it, each with its own supervisor, and reports every pid.
FAMILY = """
import asyncio, json, os, sys
from pathlib import Path
from synapsenet.clock import SystemClock
from synapsenet_servers.children.launcher import environment
from synapsenet_servers.children.supervisor import ChildSpec, Restart, Supervisor

async def main(depth, folder):
    async with Supervisor(clock=SystemClock()) as supervisor:
        for number in range(2):
            name = f"{os.getpid()}-{number}"
            argv = [sys.executable, __file__, str(depth - 1), str(folder)] if depth > 1 else ["sleep", "600"]
            spec = ChildSpec(name=name, argv=argv, env=environment(PYTHONPATH=os.environ["PYTHONPATH"]), cwd=folder,
                             log=folder / f"{name}.log", restart=Restart())
            child = await supervisor.start(spec)
            (folder / f"{child.pid}.pid").write_text("")
        await asyncio.Event().wait()

asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
"""
SHIM = Path(synapsenet_servers.__file__).with_name("children") / "shim.py"
PEOPLE = 2 + 4
"""Two children, each with two of its own."""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    path = os.pathsep.join(entry for entry in sys.path if entry)
    parent = subprocess.Popen([sys.executable, str(script), "2", str(tmp_path)], env={**os.environ, "PYTHONPATH": path})
    try:
        until(lambda: len(pids(tmp_path)) == PEOPLE, seconds=30)
        yield parent
    finally:
        parent.kill()
        parent.wait()
        for pid in pids(tmp_path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def pids(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.pid")]


def alive(pid: int) -> bool:
    """A zombie is not alive: it waits for whatever is init here."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(holds: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def test_children_and_grandchildren_are_gone_within_two_seconds_of_a_kill_9(
    family: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    family.send_signal(signal.SIGKILL)
    family.wait()
    until(lambda: not any(alive(pid) for pid in pids(tmp_path)), seconds=2)


def test_a_stopped_child_does_not_outlive_its_parent_either(family: subprocess.Popen[bytes], tmp_path: Path) -> None:
    for pid in pids(tmp_path):
        os.kill(pid, signal.SIGSTOP)
    family.send_signal(signal.SIGKILL)
    family.wait()
    until(lambda: not any(alive(pid) for pid in pids(tmp_path)), seconds=2)


def test_a_parent_that_dies_before_the_signal_is_armed_leaves_no_child() -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    shim = subprocess.run(
        [sys.executable, "-I", "-S", str(SHIM), gone.stdout.decode().strip(), "1", "/bin/echo", "echo", "alive"],
        capture_output=True,
        check=False,
    )
    assert shim.returncode == 127
    assert shim.stdout == b""
    assert b"the parent is gone" in shim.stderr


def test_a_program_that_cannot_be_executed_is_said_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF but not really")
    broken.chmod(0o755)
    shim = subprocess.run(
        [sys.executable, "-I", "-S", str(SHIM), str(os.getpid()), "1", str(broken), "broken"], capture_output=True, check=False
    )
    assert shim.returncode == 127
    assert shim.stderr.decode().count("\n") == 1
    assert "cannot execute" in shim.stderr.decode()


def test_the_shim_imports_next_to_nothing() -> None:
    """It costs 10 ms, nearly all of it the bare interpreter's; an import that does not belong here would cost more."""
    argv = [sys.executable, "-I", "-S", "-X", "importtime", str(SHIM), str(os.getpid()), "1", "/bin/true", "true"]
    shim = subprocess.run(argv, capture_output=True, check=True)
    imported = [line.rsplit(b"|", 1)[1].strip().decode() for line in shim.stderr.splitlines() if line.count(b"|") == 2]
    assert "ctypes" in imported
    assert len(imported) < 45, imported
