"""One owner for what lies in the file system: a lock file that the kernel frees when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from synapsenet.errors import FailedPrecondition


def own(path: Path, *, named: Path | None = None) -> int:
    """Own the file or folder `path` by the lock file `path.lock` beside it, until the descriptor returned is closed.

    The folder above `path` is made if missing. People are told of `named`, by default of `path`.

    Raises:
        FailedPrecondition: DATA_IN_USE, naming the process that owns it; DATA_NOT_WRITABLE.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FailedPrecondition(
            "DATA_NOT_WRITABLE",
            f"the folder {path.parent} cannot be written ({error.strerror})",
            remedy="give another data folder with --data-dir, or change its permissions",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise FailedPrecondition(
            "DATA_IN_USE",
            f"{named or path} is in use by process {owner or 'unknown'}",
            remedy="stop that process, or give another data folder with --data-dir",
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode("ascii"))
    return descriptor
