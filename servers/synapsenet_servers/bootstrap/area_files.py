"""What areas keep in files beside their records, and how that gets into their backups and out again.

Members: `online/data.mdb` and `history/<group>/<batch>.parquet` of the features, `artifacts/<sha256>` of every area whose
records name artifacts.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from sqlalchemy import Connection, select

from synapsenet.adapters.artifacts import FsspecArtifacts
from synapsenet.adapters.lmdb.online_backup import copy_online
from synapsenet.adapters.parquet.history_files import history_files, is_history_file
from synapsenet.adapters.sql.archive import Manifest, damaged, read_manifest
from synapsenet.adapters.sql.archived_files import FileSaver, check_files, pieces
from synapsenet.adapters.sql.artifact_names import artifacts_named
from synapsenet.adapters.sql.backup import Beside, opened_backup, writing
from synapsenet.adapters.sql.features import groups
from synapsenet.clock import Clock
from synapsenet.errors import Aborted, DataLoss, FailedPrecondition, NotFound
from synapsenet.features.mirror import CONSUMER

_FEATURES = "features"
_ONLINE = "online/data.mdb"
_HISTORY = "history/"
_ARTIFACTS = "artifacts/"
_PARTLY = ".partly"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesPlace:
    """Where files are.

    Attributes:
        features: folder with the online store and the history.
        artifacts: folder or URL of the store of artifacts.
    """

    features: Path
    artifacts: str


class AreaFiles(Beside):
    """The files of one area, for one backup."""

    def __init__(self, area: str, place: FilesPlace, *, clock: Clock) -> None:
        self._area = area
        self._place = place
        self._clock = clock
        self._artifacts: Sequence[str] = ()
        self._groups: frozenset[str] = frozenset()

    def look(self, connection: Connection) -> None:
        self._artifacts = artifacts_named(self._area, connection)
        self._groups = self._groups_in(connection)

    def save(self, archive: ZipFile) -> Mapping[str, str]:
        saver = FileSaver(archive)
        if self._area == _FEATURES:
            self._save_features(saver)
        if self._artifacts:
            asyncio.run(self._save_artifacts(saver))
        return saver.sums

    def check(self, connection: Connection) -> None:
        if self._groups - self._groups_in(connection):
            raise _overtaken()

    def _groups_in(self, connection: Connection) -> frozenset[str]:
        return frozenset(connection.execute(select(groups.c.id)).scalars()) if self._area == _FEATURES else frozenset()

    def _save_features(self, saver: FileSaver) -> None:
        """The online store first: the history has all that it says the history has, and later files are left out."""
        with saver.member(_ONLINE, compressed=True) as write:
            mirrored = copy_online(self._place.features / "online", CONSUMER, write)
        folder = self._place.features / "history"
        for name in history_files(folder, until=mirrored):
            try:
                saver.add(f"{_HISTORY}{name}", folder / name)
            except FileNotFoundError as error:
                raise _overtaken() from error

    async def _save_artifacts(self, saver: FileSaver) -> None:
        store = FsspecArtifacts(self._place.artifacts, clock=self._clock)
        for sha256 in self._artifacts:
            with saver.member(f"{_ARTIFACTS}{sha256}", compressed=False) as write:
                try:
                    async for piece in store.read(sha256):
                        write(piece)
                except NotFound as error:
                    raise DataLoss(
                        "ARTIFACT_LOST",
                        f"the records of {self._area} name the artifact {sha256}, which is not in {self._place.artifacts}",
                        remedy="give the --data-dir or artifacts.url of those who serve it, or --records-only",
                        metadata={"sha256": sha256},
                    ) from error


@contextmanager
def put_back(file: Path, place: FilesPlace, *, clock: Clock) -> Iterator[None]:
    """Put the files in the backup `file` in place for the block, which makes the records; if that fails they go again.

    Artifacts stay: they may be others', too.

    Raises:
        FailedPrecondition: RESTORE_NOT_EMPTY, DATA_NOT_WRITABLE.
        NotFound: BACKUP_MISSING.
        DataLoss: BACKUP_CORRUPT.
        ResourceExhausted: STORAGE_FULL.
    """
    with opened_backup(file) as archive:
        manifest = read_manifest(archive)
        check_files(archive, manifest)
        folders = _put_folders(archive, manifest, place.features)
        try:
            asyncio.run(_put_artifacts(archive, manifest, place, clock))
            yield
        except BaseException:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            raise


def _put_folders(archive: ZipFile, manifest: Manifest, features: Path) -> list[Path]:
    """The folders made below `features`, all of them or none."""
    wanted = {"online": [_ONLINE] if _ONLINE in manifest.files else [], "history": _history_in(manifest)}
    if not wanted["online"]:
        return []
    for name in wanted:
        if (features / name).exists() and any((features / name).iterdir()):
            raise FailedPrecondition(
                "RESTORE_NOT_EMPTY",
                f"there are files in {features / name} already",
                remedy="move that folder away first, with the platform stopped",
            )
    made = []
    for name, members in wanted.items():
        partly = features / f"{name}{_PARTLY}"
        try:
            with writing(features, remedy="give another data folder with --data-dir, or change its permissions"):
                shutil.rmtree(partly, ignore_errors=True)
                partly.mkdir(parents=True)
                for member in members:
                    _write(features / member.replace(name, partly.name, 1), pieces(archive, manifest, member))
                partly.replace(features / name)
            made.append(features / name)
        except BaseException:
            for folder in (partly, *made):
                shutil.rmtree(folder, ignore_errors=True)
            raise
    return made


def _history_in(manifest: Manifest) -> list[str]:
    members = [name for name in manifest.files if name.startswith(_HISTORY)]
    for name in members:
        if not is_history_file(name.removeprefix(_HISTORY)):
            raise damaged(f"its file {name} is none of the history's")
    return members


def _write(path: Path, content: Iterable[bytes]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        for piece in content:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


async def _put_artifacts(archive: ZipFile, manifest: Manifest, place: FilesPlace, clock: Clock) -> None:
    members = [name for name in manifest.files if name.startswith(_ARTIFACTS)]
    if not members:
        return
    store = FsspecArtifacts(place.artifacts, clock=clock)
    for name in members:
        if manifest.files[name] != name.removeprefix(_ARTIFACTS):
            raise damaged(f"its file {name} has another content than its name says")
        await store.write(_awaited(pieces(archive, manifest, name)), limit=archive.getinfo(name).file_size)


async def _awaited(content: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


def _overtaken() -> Aborted:
    return Aborted(
        "BACKUP_OVERTAKEN",
        "feature groups were deleted while the backup was taken, again and again",
        remedy="take it again when nobody deletes any",
    )
