"""The schemas of the recorded areas' databases, as SQLite itself tells them."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from synapsenet.adapters.sql.migrate import MIGRATIONS
from tests.golden.files import SCHEMAS

AREAS = ("models", "registry", "inference", "training")
_STATEMENTS = r"""
    SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY type DESC, name
"""
_REVISION = re.compile(r"-- revision (\S+)\n")


def schema(database: Path) -> str:
    """The revision and the statements that made `database`, each on a line, in one order and with single spaces."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        rows = connection.execute(_STATEMENTS)
        statements = [" ".join(sql.split()) for (sql,) in rows]
    return "\n".join([f"-- revision {revision}", *(f"{statement};" for statement in statements)]) + "\n"


def record_schemas(folder: Path, data: Path) -> None:
    """Write the schema of each area's database below `data`."""
    (folder / SCHEMAS).mkdir()
    for area in AREAS:
        (folder / SCHEMAS / f"{area}.sql").write_text(schema(data / area / f"{area}.sqlite"), "utf-8")


def migrated(area: str, recorded: str, database: Path) -> str:
    """The schema of a new `database` after the area's migrations up to the revision of the `recorded` one."""
    found = _REVISION.match(recorded)
    assert found is not None, "the recorded schema does not tell its revision"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(MIGRATIONS / area))
    config.set_main_option("path_separator", "newline")
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, found[1])
    engine.dispose()
    return schema(database)
