"""The unit-of-work suite over PostgreSQL, and what only a server with several processes can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.testing.work import Ledger, UnitOfWorkContract
from tests.contract.databases import schema_records
from tests.contract.sql.ledger import open_ledger_on


@pytest.fixture
async def ledger(postgres_options: PostgresOptions, tmp_path: Path) -> AsyncIterator[Ledger]:
    async with open_ledger_on(schema_records(postgres_options, tmp_path)) as opened:
        yield opened


class TestPostgresUnitOfWork(UnitOfWorkContract):
    """The shared suite."""
