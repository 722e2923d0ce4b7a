"""Disks for tests that fill them up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, *, mib: int) -> Iterator[None]:
    """A file system of so many MiB at `folder`, open to whoever mounted it."""
    options = f"size={mib}m,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """The disk that everybody shares."""
    assert folder.is_dir()
    yield
