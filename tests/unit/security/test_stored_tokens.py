"""Tokens are recognized, refused with the one true reason, and revoked ones are out within moments."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from synapsenet.errors import InvalidArgument, Unauthenticated, Unavailable
from synapsenet.platform.scopes import parse_scope
from synapsenet.platform.tokens import PREFIX, Token, Tokens, mint, split
from synapsenet.testing.clock import NOON, FakeClock
from synapsenet_servers.security.options import SecurityOptions
from synapsenet_servers.security.stored_tokens import StoredTokens

READ = [parse_scope("features:read")]
HOUR = timedelta(hours=1)


class Shelf(Tokens):
    """Tokens in a dict, which may be away, slow, and counts who asks."""

    def __init__(self) -> None:
        self.kept: dict[str, Token] = {}
        self.asked = 0
        self.away: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def add(self, token: Token) -> None:
        self.kept[token.id] = token

    async def find(self, id: str) -> Token | None:
        self.asked += 1
        await self.open.wait()
        if self.away is not None:
            raise self.away
        return self.kept.get(id)

    async def list(self) -> Sequence[Token]:
        return list(self.kept.values())

    async def revoke(self, id: str, at: datetime) -> Token:
        self.kept[id] = replace(self.kept[id], revoked_at=at)
        return self.kept[id]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def bearers(shelf: Shelf, clock: FakeClock) -> StoredTokens:
    return StoredTokens(shelf, clock, SecurityOptions(token_cache_s=2.0, token_grace_s=60.0, token_cache_entries=10))


async def given(shelf: Shelf, name: str = "ci", expires_at: datetime | None = None) -> tuple[Token, str]:
    token, text = mint(name, READ, now=NOON, expires_at=expires_at)
    await shelf.add(token)
    return token, text


async def reason(bearers: StoredTokens, text: str) -> str:
    with pytest.raises((Unauthenticated, Unavailable)) as refusal:
        await bearers.identify(text)
    assert text not in str(refusal.value) + refusal.value.secret + repr(refusal.value.metadata)
    return refusal.value.reason


async def test_a_token_makes_its_bearer_known_with_its_scopes(bearers: StoredTokens, shelf: Shelf) -> None:
    token, text = await given(shelf)
    caller = await bearers.identify(text)
    assert caller.scopes == tuple(READ)
    assert caller.name == f"'ci' (snt_{token.id})"


async def test_another_secret_with_a_known_id_is_as_unknown_as_an_unknown_id(bearers: StoredTokens, shelf: Shelf) -> None:
    token, text = await given(shelf)
    forged = f"{PREFIX}{token.id}_{'A' * 43}"
    assert await reason(bearers, forged) == "TOKEN_UNKNOWN"
    assert await reason(bearers, f"{PREFIX}{'0' * 16}_{'A' * 43}") == "TOKEN_UNKNOWN"
    assert (await bearers.identify(text)).name.startswith("'ci'")


@pytest.mark.parametrize("text", ["snt_", "snt_x_y", "snt_" + "0" * 16 + "_" + "A" * 42, "snt_" + "0" * 16 + "_" + "é" * 43])
async def test_what_is_spelt_otherwise_never_reaches_the_store(bearers: StoredTokens, shelf: Shelf, text: str) -> None:
    assert await reason(bearers, text) == "TOKEN_MALFORMED"
    assert shelf.asked == 0


async def test_a_token_ends_at_its_instant_also_while_it_is_remembered(
    bearers: StoredTokens, shelf: Shelf, clock: FakeClock
) -> None:
    _, text = await given(shelf, expires_at=NOON + timedelta(seconds=1))
    await clock.advance(0.999)
    await bearers.identify(text)
    await clock.advance(0.001)
    assert await reason(bearers, text) == "TOKEN_EXPIRED"
    assert shelf.asked == 1


async def test_a_revoked_token_is_refused_once_what_is_remembered_is_old(
    bearers: StoredTokens, shelf: Shelf, clock: FakeClock
) -> None:
    token, text = await given(shelf)
    await bearers.identify(text)
    await shelf.revoke(token.id, NOON)
    await clock.advance(2.0)
    assert await reason(bearers, text) == "TOKEN_REVOKED"


async def test_a_new_token_passes_though_it_was_unknown_a_moment_ago(
    bearers: StoredTokens, shelf: Shelf, clock: FakeClock
) -> None:
    token, text = mint("late", READ, now=NOON)
    assert await reason(bearers, text) == "TOKEN_UNKNOWN"
    await shelf.add(token)
    await clock.advance(2.0)
    await bearers.identify(text)


async def test_many_who_come_at_one_time_cost_one_lookup(bearers: StoredTokens, shelf: Shelf) -> None:
    _, text = await given(shelf)
    shelf.open.clear()
    asking = [asyncio.create_task(bearers.identify(text)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()  # the lookup goes on for the others
    await asyncio.sleep(0)
    shelf.open.set()
    answers = await asyncio.gather(*asking[1:])
    assert len(answers) == 49
    assert shelf.asked == 1


async def test_while_the_store_is_away_known_tokens_pass_for_the_grace_and_others_are_told_to_retry(
    bearers: StoredTokens, shelf: Shelf, clock: FakeClock
) -> None:
    _, text = await given(shelf)
    _, other = await given(shelf, "other")
    await bearers.identify(text)
    shelf.away = Unavailable("DATABASE_UNAVAILABLE", "the database is away")
    await clock.advance(59.0)
    await bearers.identify(text)
    assert await reason(bearers, other) == "TOKEN_STORE_AWAY"
    await clock.advance(1.0)
    assert await reason(bearers, text) == "TOKEN_STORE_AWAY"
    shelf.away = None
    await bearers.identify(text)


async def test_guesses_drive_out_no_token_and_are_themselves_bounded(bearers: StoredTokens, shelf: Shelf) -> None:
    _, text = await given(shelf)
    await bearers.identify(text)
    for number in range(100):
        assert await reason(bearers, f"{PREFIX}{number:016x}_{'A' * 43}") == "TOKEN_UNKNOWN"
    asked = shelf.asked
    await bearers.identify(text)
    assert shelf.asked == asked
    assert len(bearers._unknown) == 10


def test_a_tokens_text_carries_its_id_and_256_random_bits() -> None:
    token, text = mint("ci", READ, now=NOON, entropy=lambda count: bytes(range(count)))
    assert text == "snt_0001020304050607_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert split(text) == (token.id, text[21:])
    assert token.matches(text[21:])
    assert len({mint("ci", READ, now=NOON)[1] for _ in range(100)}) == 100
    assert text[21:] not in repr(token)
    assert repr(token.digest) not in repr(token)


@pytest.mark.parametrize(
    ("name", "scopes", "expires_at", "told"),
    [
        ("", READ, None, "TOKEN_NAME_INVALID"),
        ("x" * 101, READ, None, "TOKEN_NAME_INVALID"),
        ("a\nb", READ, None, "TOKEN_NAME_INVALID"),
        ("ci", [], None, "TOKEN_WITHOUT_SCOPE"),
        ("ci", READ, NOON, "TOKEN_EXPIRY_PAST"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(name: str, scopes: list[object], expires_at: datetime, told: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        mint(name, scopes, now=NOON, expires_at=expires_at)  # type: ignore[arg-type]  # what the parameters give
    assert refusal.value.reason == told
