"""Bring an area's database to this release's schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from synapsenet.errors import FailedPrecondition

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, area: str, *, revisions: Path = MIGRATIONS) -> None:
    """Apply the revisions of `area` that `connection`'s database lacks, all in its running transaction.

    Args:
        revisions: the folder that has one folder of revisions an area.

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
    if current is not None:
        _refuse_unknown(scripts, current, area)
    command.upgrade(config, "head")


def _refuse_unknown(scripts: ScriptDirectory, current: str, area: str) -> None:
    try:
        scripts.get_revision(current)
    except CommandError as error:
        raise FailedPrecondition(
            "SCHEMA_NEWER",
            f"the database of {area} has schema {current}, this release knows up to {scripts.get_current_head()}",
            remedy="start the release that wrote it, or a newer one",
        ) from error
