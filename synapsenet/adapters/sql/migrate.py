"""Bring an area's database to this release's schema."""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from synapsenet.errors import FailedPrecondition

MIGRATIONS = Path(__file__).parent / "migrations"
_NEWEST = "head"
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps what it works on in module globals


def migrate(connection: Connection, area: str, *, revisions: Path = MIGRATIONS, to: str = _NEWEST) -> None:
    """Apply the revisions of `area` that `connection`'s database lacks, all in its running transaction.

    Args:
        revisions: the folder that has one folder of revisions an area.
        to: the revision to stop at.

    Raises:
        FailedPrecondition: SCHEMA_NEWER, the database was written by a newer release.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(revisions / area))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head():
        return
    for revision in (current, to):
        if revision is not None and revision != _NEWEST:
            _refuse_unknown(scripts, revision, area)
    with _ONE_AT_A_TIME:
        command.upgrade(config, to)


def _refuse_unknown(scripts: ScriptDirectory, revision: str, area: str) -> None:
    try:
        scripts.get_revision(revision)
    except CommandError as error:
        raise FailedPrecondition(
            "SCHEMA_NEWER",
            f"the database of {area} has schema {revision}, this release knows up to {scripts.get_current_head()}",
            remedy="start the release that wrote it, or a newer one",
        ) from error
