"""Files as members of an area's backup, each known by its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from synapsenet.adapters.sql.archive import Manifest, damaged

_PIECE = 1 << 20


class FileSaver:
    """Adds files to `archive`.

    Attributes:
        sums: SHA-256 of what was added, in hexadecimal, by the members' names.
    """

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self.sums: dict[str, str] = {}

    @contextmanager
    def member(self, name: str, *, compressed: bool) -> Iterator[Callable[[bytes], None]]:
        """What takes the pieces of the member `name`, inside the `with`."""
        digest = hashlib.sha256()
        described = ZipInfo(name)
        described.compress_type = ZIP_DEFLATED if compressed else ZIP_STORED
        with self._archive.open(described, "w", force_zip64=True) as file:

            def write(piece: bytes) -> None:
                digest.update(piece)
                file.write(piece)

            yield write
        self.sums[name] = digest.hexdigest()

    def add(self, name: str, path: Path) -> None:
        """The file `path` as the member `name`, for what is compressed already."""
        with path.open("rb") as source, self.member(name, compressed=False) as write:
            while piece := source.read(_PIECE):
                write(piece)


def pieces(archive: ZipFile, manifest: Manifest, name: str) -> Iterator[bytes]:
    """The file `name`, to the end if it is what was saved.

    Raises:
        DataLoss: BACKUP_CORRUPT.
    """
    digest = hashlib.sha256()
    try:
        with archive.open(name) as member:
            while piece := member.read(_PIECE):
                digest.update(piece)
                yield piece
    except (KeyError, EOFError, BadZipFile) as error:
        raise damaged(f"its file {name} cannot be read", str(error)) from error
    if digest.hexdigest() != manifest.files[name]:
        raise damaged(f"its file {name} is not what was saved")


def check_files(archive: ZipFile, manifest: Manifest) -> None:
    """See that every file is what was saved.

    Raises:
        DataLoss: BACKUP_CORRUPT.
    """
    for name in manifest.files:
        for _ in pieces(archive, manifest, name):
            continue
