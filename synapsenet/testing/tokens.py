"""What every store of tokens promises."""

from __future__ import annotations

from datetime import timedelta

import pytest

from synapsenet.errors import NotFound
from synapsenet.platform.scopes import parse_scope
from synapsenet.platform.tokens import Token, Tokens, mint
from synapsenet.testing.clock import NOON

DAY = timedelta(days=1)


def token(name: str = "ci", *, after: timedelta = timedelta(0), expires: timedelta | None = None) -> Token:
    """A token made `after` noon."""
    scopes = [parse_scope("features:read"), parse_scope("*:admin")]
    now = NOON + after
    return mint(name, scopes, now=now, expires_at=None if expires is None else now + expires)[0]


class TokensContract:
    """Run over every adapter by a class that provides the fixture `tokens`."""

    async def test_a_token_is_found_by_its_id_as_it_was_added(self, tokens: Tokens) -> None:
        one, other = token(), token("other", expires=DAY)
        await tokens.add(one)
        await tokens.add(other)
        assert await tokens.find(one.id) == one
        assert await tokens.find(other.id) == other

    async def test_an_id_that_nobody_has_finds_nothing(self, tokens: Tokens) -> None:
        await tokens.add(token())
        assert await tokens.find("0" * 16) is None
        assert await tokens.find("' OR '1'='1") is None

    async def test_the_list_has_all_of_them_the_newest_first(self, tokens: Tokens) -> None:
        made = [token(str(day), after=day * DAY) for day in (2, 1, 3)]
        for each in made:
            await tokens.add(each)
        assert [each.name for each in await tokens.list()] == ["3", "2", "1"]

    async def test_a_revoked_token_is_still_found_and_says_when(self, tokens: Tokens) -> None:
        one, other = token(), token()
        await tokens.add(one)
        await tokens.add(other)
        revoked = await tokens.revoke(one.id, NOON + DAY)
        assert revoked.revoked_at == NOON + DAY
        assert await tokens.find(one.id) == revoked
        assert await tokens.find(other.id) == other

    async def test_the_first_revocation_counts(self, tokens: Tokens) -> None:
        one = token()
        await tokens.add(one)
        await tokens.revoke(one.id, NOON + DAY)
        assert (await tokens.revoke(one.id, NOON + 2 * DAY)).revoked_at == NOON + DAY

    async def test_a_token_that_is_not_there_cannot_be_revoked(self, tokens: Tokens) -> None:
        with pytest.raises(NotFound) as refusal:
            await tokens.revoke("0" * 16, NOON)
        assert refusal.value.reason == "TOKEN_NOT_FOUND"
