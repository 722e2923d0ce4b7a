"""A data folder and its one owner, with the private folder for sockets that goes with it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synapsenet.adapters.ownership import own


@contextmanager
def owned_folder(data: Path) -> Iterator[Path]:
    """Own `data` inside a `with`; the folder that it gives is for sockets.

    That one is open to this user alone, its path is short enough for sockets, and a former owner's is swept: where it is
    stands in `data`, so that whoever owns `data` next can remove what a crash left behind.

    Raises:
        FailedPrecondition: DATA_IN_USE or DATA_NOT_WRITABLE.
    """
    descriptor = own(data / "synapsenet", named=data)
    try:
        note = data / "run"
        if note.is_symlink():
            shutil.rmtree(note.readlink(), ignore_errors=True)
            note.unlink()
        with tempfile.TemporaryDirectory(prefix="synapsenet-") as folder:
            note.symlink_to(folder)
            try:
                yield Path(folder)
            finally:
                note.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
