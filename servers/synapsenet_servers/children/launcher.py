"""Starts child processes that never outlive this one, and knows at once when they end.

A child is spawned from the main thread: the kernel's parent-death signal fires when the *thread* that spawned ends. Between
fork and exec runs `shim.py`, never Python of this process, because gRPC does not survive a fork. Every child leads
a process group of its own, so a terminal's Ctrl-C reaches the supervisor alone, and what a child leaves behind ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synapsenet.errors import FailedPrecondition, Unavailable
from synapsenet_servers.children.logs import open_log

_SHIM = Path(__file__).with_name("shim.py")

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables that a child of the platform may need from this process, whatever its task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code, 0..255; None if a signal ended it.
        signal: the number of the signal that ended it; None if it exited.
    """

    code: int | None
    signal: int | None

    def __str__(self) -> str:
        return f"ended with code {self.code}" if self.signal is None else f"was killed by {_signal_name(self.signal)}"


class Process:
    """A child process, watched through a pidfd: no polling, no SIGCHLD handler, no thread.

    Attributes:
        pid: its id, and that of its process group.
        executed: done once its program runs, from when on it cannot outlive this process; False if that did not come about.
        ended: done as soon as it has ended; what it left in its process group is gone by then.
    """

    def __init__(self, popen: subprocess.Popen[bytes], status: int) -> None:
        self.pid = popen.pid
        self._popen = popen
        self._loop = asyncio.get_running_loop()
        self.executed: asyncio.Future[bool] = self._loop.create_future()
        self.ended: asyncio.Future[Ended] = self._loop.create_future()
        self._said = b""
        self._pidfd = os.pidfd_open(popen.pid)
        self._loop.add_reader(self._pidfd, self._reap)
        self._loop.add_reader(status, self._hear, status)

    def terminate(self) -> None:
        """Ask it to end: SIGTERM to the process alone, which ends its own children in its own order."""
        if not self.ended.done():
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def kill(self) -> None:
        """End it and its process group with SIGKILL, stopped processes too."""
        if not self.ended.done():
            _kill_group(self.pid)

    def _hear(self, status: int) -> None:
        if said := os.read(status, 16):
            self._said += said
            return
        self._loop.remove_reader(status)
        os.close(status)
        self.executed.set_result(self._said == b"+")

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        # Until it is reaped its id cannot be given to another process, so the group that is killed is its own.
        _kill_group(self.pid)
        status = self._popen.wait()
        os.close(self._pidfd)
        self.ended.set_result(Ended(code=status, signal=None) if status >= 0 else Ended(code=None, signal=-status))


def launch(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path, log_limit: int) -> Process:
    """Start `argv` as a child of this process; return at once.

    Args:
        argv: program and arguments; a program without a slash is looked for on the PATH of `env`.
        env: the child's whole environment; `environment()` gives a sensible one.
        cwd: an existing folder.
        log: receives stdout and stderr; appended to, or begun anew past `log_limit` bytes.

    Raises:
        FailedPrecondition: PROGRAM_MISSING; LAUNCH_OFF_MAIN_THREAD.
        Unavailable: CHILD_NOT_STARTED, the operating system refused (no memory, too many processes, an unwritable log).
    """
    if threading.current_thread() is not threading.main_thread():
        raise FailedPrecondition("LAUNCH_OFF_MAIN_THREAD", remedy="start child processes from the main thread's event loop")
    program = shutil.which(argv[0], path=env.get("PATH", os.defpath))
    if program is None:
        name = Path(argv[0]).name
        raise FailedPrecondition(
            "PROGRAM_MISSING", f"the program {name!r} is not installed", remedy="install it or correct the PATH", secret=argv[0]
        )
    try:
        return _spawn([program, *argv], env=dict(env), cwd=cwd, log=log, log_limit=log_limit)
    except OSError as error:
        sentence = f"a child process could not be started: {error.strerror}"
        raise Unavailable("CHILD_NOT_STARTED", sentence, secret=str(error)) from error


def environment(**variables: str) -> dict[str, str]:
    """What a child may inherit of this process's environment, and `variables` over it."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | variables


def _spawn(program: Sequence[str], *, env: dict[str, str], cwd: Path, log: Path, log_limit: int) -> Process:
    with contextlib.ExitStack() as undo, open_log(log, limit=log_limit) as output:
        heard, said = os.pipe()
        undo.callback(os.close, heard)
        with os.fdopen(said, "wb"):
            popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SHIM), str(os.getpid()), str(said), *program],
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(said,),
                process_group=0,
            )
        # Out of descriptors, say: a child that nobody can watch must not run.
        undo.callback(popen.wait)
        undo.callback(popen.kill)
        process = Process(popen, heard)
        undo.pop_all()
        return process


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
