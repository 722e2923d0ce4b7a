"""One PostgreSQL for all contract suites; each test finds it empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from synapsenet.adapters.sql.postgres_options import PostgresOptions
from tests.contract.databases import (
    KINDS,
    OpenRecords,
    clear_schemas,
    drop_schemas,
    schema_records,
    sqlite_records,
)
from tests.postgres_server import RunningPostgres, postgres_server


@pytest.fixture(scope="session")
def running_postgres() -> Iterator[RunningPostgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def postgres_options(running_postgres: RunningPostgres) -> PostgresOptions:
    options = PostgresOptions(url=running_postgres.url)
    clear_schemas(options)
    return options


@pytest.fixture
def bare_postgres(running_postgres: RunningPostgres) -> PostgresOptions:
    """Without any schema of ours."""
    options = PostgresOptions(url=running_postgres.url)
    drop_schemas(options)
    return options


@pytest.fixture(scope="session")
def leases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where sequencers' leases are kept, made once: they are all over by the end of a test."""
    return tmp_path_factory.mktemp("leases")


@pytest.fixture(params=KINDS)
def records(request: pytest.FixtureRequest, tmp_path: Path, leases: Path) -> OpenRecords:
    """An area's records on each database in turn."""
    if request.param == "sqlite":
        return sqlite_records(tmp_path)
    options: PostgresOptions = request.getfixturevalue("postgres_options")
    return schema_records(options, leases)
