"""Tokens as rows beside the locks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from synapsenet.adapters.sql.coordination import tokens as table
from synapsenet.adapters.sql.database import Database
from synapsenet.errors import NotFound
from synapsenet.platform.scopes import parse_scope
from synapsenet.platform.tokens import Token, Tokens


class SqlTokens(Tokens):
    """The tokens in the coordination database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, token: Token) -> None:
        def commit(connection: Connection) -> None:
            connection.execute(insert(table), _row(token))

        await self._database.write(commit)

    async def find(self, id: str) -> Token | None:
        found = await self._database.read(lambda connection: connection.execute(select(table).where(table.c.id == id)).first())
        return None if found is None else _token(found)

    async def list(self) -> Sequence[Token]:
        query = select(table).order_by(table.c.created_at.desc(), table.c.id)
        return [_token(row) for row in await self._database.read(lambda connection: connection.execute(query).all())]

    async def revoke(self, id: str, at: datetime) -> Token:
        def commit(connection: Connection) -> Row[Any] | None:
            valid = (table.c.id == id) & table.c.revoked_at.is_(None)
            connection.execute(update(table).where(valid).values(revoked_at=at))
            return connection.execute(select(table).where(table.c.id == id)).first()

        if (found := await self._database.write(commit)) is None:
            remedy = "see `synapsenet tokens list`"
            raise NotFound("TOKEN_NOT_FOUND", f"there is no token {id!r}", remedy=remedy, metadata={"token": id})
        return _token(found)


def _row(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": [str(scope) for scope in token.scopes],
        "digest": token.digest,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    }


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        scopes=tuple(parse_scope(scope) for scope in row.scopes),
        digest=bytes(row.digest),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
