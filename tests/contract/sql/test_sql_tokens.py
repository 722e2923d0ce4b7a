"""The suite of tokens over SQL rows; what lies in the database opens nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.postgres_server import COORDINATION, open_schema
from synapsenet.adapters.sql.tokens import SqlTokens
from synapsenet.platform.scopes import parse_scope
from synapsenet.platform.tokens import Tokens, mint
from synapsenet.testing.clock import NOON
from synapsenet.testing.tokens import TokensContract
from tests.contract.databases import KINDS


@pytest.fixture(params=KINDS)
async def tokens(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tokens]:
    if request.param == "sqlite":
        async with open_coordination(tmp_path / "coordination.sqlite") as database:
            yield SqlTokens(database)
    else:
        async with open_schema(COORDINATION, request.getfixturevalue("postgres_options")) as schema:
            yield SqlTokens(schema)


class TestSqlTokens(TokensContract):
    """The shared suite."""


async def test_tokens_outlive_their_process_and_no_file_has_the_secret(tmp_path: Path) -> None:
    kept, text = mint("ci", [parse_scope("models:write")], now=NOON)
    async with open_coordination(tmp_path / "coordination.sqlite") as database:
        await SqlTokens(database).add(kept)
    async with open_coordination(tmp_path / "coordination.sqlite") as database:
        assert await SqlTokens(database).find(kept.id) == kept
    secret = text.rpartition(kept.id + "_")[2].encode()
    assert len(secret) == 43
    assert [path.name for path in tmp_path.iterdir() if secret in path.read_bytes()] == []
