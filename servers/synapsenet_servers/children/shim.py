"""What runs in a child between fork and exec: ties the child's life to its parent's.

Run as a file by a bare interpreter (`python -I -S shim.py PARENT STATUS EXECUTABLE ARGV0 …`), so it imports nothing
of ours and as little as it can: it costs about 10 ms, in the child. It is a program of its own because a process in which
gRPC runs must not run Python between fork and exec.

On the descriptor STATUS it says that the parent-death signal is armed; the descriptor closes when the program is executed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_ARMED, _FAILED = b"+", b"-"
_NOT_STARTED = 127


def main() -> int:
    parent, status, executable, *argv = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        return _refuse(f"cannot ask for the parent-death signal: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        # The parent died before the signal was armed: nobody would ever end this child.
        return _refuse("the parent is gone")
    os.set_inheritable(int(status), False)
    os.write(int(status), _ARMED)
    try:
        os.execv(executable, argv)  # noqa: S606  the point of this program
    except OSError as error:
        os.write(int(status), _FAILED)
        return _refuse(f"cannot execute {executable}: {error.strerror}")


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"{sys.argv[0]}: {sentence}\n")
    return _NOT_STARTED


if __name__ == "__main__":
    sys.exit(main())
