"""JSON Web Tokens: those of the identity provider pass, and what attackers make of them does not."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from synapsenet.errors import InvalidArgument, Unauthenticated, Unavailable
from synapsenet.platform.scopes import parse_scope
from synapsenet.testing.clock import NOON, FakeClock
from synapsenet_servers.security.identity_provider import JwtBearers
from synapsenet_servers.security.key_sets import KeySet
from synapsenet_servers.security.options import SecurityOptions

OPTIONS = SecurityOptions(jwks="keys.json", issuer="https://id.example", audience="synapsenet", leeway_s=30.0)
NOW = int(NOON.timestamp())
EC = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "alg": "RS256"})
OKP = OKPKey.generate_key("Ed25519", {"kid": "okp"})
SECRET = OctKey.import_key("0123456789abcdef0123456789abcdef", {"kid": "oct"})
STRANGER = ECKey.generate_key("P-256", {"kid": "ec"})


class Provider:
    """A key set that can be changed, broken, and counts its readers."""

    def __init__(self, *keys: Any) -> None:
        self.text = published(*keys)
        self.read = 0
        self.broken: Exception | None = None

    def __call__(self) -> bytes:
        self.read += 1
        if self.broken is not None:
            raise self.broken
        return self.text


def published(*keys: Any, private: bool = False) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=private or isinstance(key, OctKey)) for key in keys]}).encode()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider() -> Provider:
    return Provider(EC, RSA, OKP, SECRET)


@pytest.fixture
def bearers(provider: Provider, clock: FakeClock) -> JwtBearers:
    return JwtBearers(KeySet(provider, clock, OPTIONS), clock, OPTIONS)


def signed(key: Any = EC, algorithm: str = "ES256", header: Mapping[str, Any] | None = None, **changed: Any) -> str:
    claims = {
        "iss": "https://id.example",
        "aud": "synapsenet",
        "sub": "alice",
        "exp": NOW + 300,
        "scope": "openid features:read models:write",
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": key.kid, **(header or {})}, kept, key, algorithms=[algorithm])


def part(data: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")


async def reason(bearers: JwtBearers, text: str) -> str:
    with pytest.raises((Unauthenticated, Unavailable)) as refusal:
        await bearers.identify(text)
    assert text not in str(refusal.value)
    return refusal.value.reason


@pytest.mark.parametrize(("key", "algorithm"), [(EC, "ES256"), (RSA, "RS256"), (OKP, "Ed25519")])
async def test_a_token_of_the_provider_makes_its_subject_known(bearers: JwtBearers, key: Any, algorithm: str) -> None:
    caller = await bearers.identify(signed(key, algorithm))
    assert caller.name == "'alice'"
    assert caller.scopes == (parse_scope("features:read"), parse_scope("models:write"))


async def test_scopes_may_be_a_list_and_those_of_other_systems_grant_nothing(bearers: JwtBearers) -> None:
    assert (await bearers.identify(signed(scope=["*:admin", "email"]))).scopes == (parse_scope("*:admin"),)
    for claim in (None, 7, {"features": "read"}, "", ["features:root", None]):
        assert (await bearers.identify(signed(scope=claim))).scopes == ()


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"exp": NOW - 31}, "TOKEN_EXPIRED"),
        ({"exp": None}, "TOKEN_CLAIM_WRONG"),
        ({"exp": "tomorrow"}, "TOKEN_CLAIM_WRONG"),
        ({"nbf": NOW + 31}, "TOKEN_CLAIM_WRONG"),
        ({"iss": "https://evil.example"}, "TOKEN_CLAIM_WRONG"),
        ({"iss": None}, "TOKEN_CLAIM_WRONG"),
        ({"aud": "other"}, "TOKEN_CLAIM_WRONG"),
        ({"aud": None}, "TOKEN_CLAIM_WRONG"),
        ({"aud": ["other", "third"]}, "TOKEN_CLAIM_WRONG"),
    ],
)
async def test_a_claim_that_does_not_hold_is_named(bearers: JwtBearers, claims: dict[str, Any], told: str) -> None:
    assert await reason(bearers, signed(**claims)) == told


async def test_clocks_may_differ_by_the_leeway(bearers: JwtBearers) -> None:
    await bearers.identify(signed(exp=NOW - 29, nbf=NOW + 29))
    await bearers.identify(signed(aud=["other", "synapsenet"]))


async def test_a_token_without_signature_is_refused(bearers: JwtBearers) -> None:
    claims = part({"iss": "https://id.example", "aud": "synapsenet", "exp": NOW + 300, "scope": "*:admin"})
    for algorithm in ("none", "None", "nOnE", "", None):
        assert await reason(bearers, f"{part({'alg': algorithm, 'kid': 'ec'})}.{claims}.") == "TOKEN_ALGORITHM_REFUSED"


async def test_the_public_key_is_no_secret_to_sign_with(bearers: JwtBearers) -> None:
    for pem in (RSA.as_pem(private=False), EC.as_pem(private=False)):
        forged = signed(OctKey.import_key(base64.urlsafe_b64encode(pem).decode(), {"kid": "rsa"}), "HS256", scope="*:admin")
        assert await reason(bearers, forged) == "TOKEN_ALGORITHM_REFUSED"


async def test_a_shared_secret_in_the_key_set_signs_nothing(bearers: JwtBearers) -> None:
    assert await reason(bearers, signed(SECRET, "HS256")) == "TOKEN_ALGORITHM_REFUSED"


async def test_a_key_of_another_kind_or_made_for_another_algorithm_does_not_count(bearers: JwtBearers) -> None:
    assert await reason(bearers, signed(EC, "ES256", {"kid": "rsa"})) == "TOKEN_UNKNOWN"
    any_use = RSAKey.import_key({name: value for name, value in RSA.as_dict(private=True).items() if name != "alg"})
    assert await reason(bearers, signed(any_use, "PS256")) == "TOKEN_UNKNOWN"  # the provider publishes it for RS256


async def test_a_key_that_the_token_brings_along_is_not_believed(bearers: JwtBearers) -> None:
    own = {"jwk": STRANGER.as_dict(private=False), "jku": "https://evil.example/keys", "x5u": "https://evil.example/crt"}
    for name, value in own.items():
        claims = part({"iss": "https://id.example", "aud": "synapsenet", "exp": NOW + 300, "scope": "*:admin"})
        _, _, signature = signed(STRANGER).split(".")
        assert (
            await reason(bearers, f"{part({'alg': 'ES256', 'kid': 'ec', name: value})}.{claims}.{signature}") == "TOKEN_UNKNOWN"
        )
    assert await reason(bearers, signed(STRANGER)) == "TOKEN_UNKNOWN"


async def test_a_token_whose_claims_were_changed_is_refused(bearers: JwtBearers) -> None:
    header, _, signature = signed().split(".")
    claims = part({"iss": "https://id.example", "aud": "synapsenet", "exp": NOW + 300, "scope": "*:admin"})
    assert await reason(bearers, f"{header}.{claims}.{signature}") == "TOKEN_UNKNOWN"


@pytest.mark.parametrize(
    "text", ["x", "a.b", "a.b.c", "..", "a.b.c.d.e", "é.é.é", "{}.{}.{}", "bnVsbA.bnVsbA.x", "W10.e30.x", "\x00.\x00.\x00"]
)
async def test_garbage_is_refused_as_garbage(bearers: JwtBearers, text: str) -> None:
    assert await reason(bearers, text) in ("TOKEN_MALFORMED", "TOKEN_ALGORITHM_REFUSED")


async def test_a_key_id_that_is_no_text_is_refused(bearers: JwtBearers) -> None:
    for kid in (7, ["ec"], {"ec": 1}, "x" * 257):
        assert await reason(bearers, f"{part({'alg': 'ES256', 'kid': kid})}.e30.x") == "TOKEN_MALFORMED"


async def test_an_unknown_key_is_looked_for_anew_but_not_for_every_token(
    bearers: JwtBearers, provider: Provider, clock: FakeClock
) -> None:
    fresh = ECKey.generate_key("P-256", {"kid": "fresh"})
    await bearers.identify(signed())
    provider.text = published(EC, fresh)
    for _ in range(20):
        assert await reason(bearers, signed(fresh)) == "TOKEN_UNKNOWN"
    assert provider.read == 1
    await clock.advance(10.0)
    await bearers.identify(signed(fresh))
    assert provider.read == 2


async def test_a_key_that_the_provider_took_back_no_longer_counts(
    bearers: JwtBearers, provider: Provider, clock: FakeClock
) -> None:
    await bearers.identify(signed(exp=NOW + 10_000))
    provider.text = published(RSA)
    await clock.advance(301.0)
    assert await reason(bearers, signed(exp=NOW + 10_000)) == "TOKEN_UNKNOWN"


async def test_while_the_provider_is_away_its_keys_stay_for_an_hour(
    bearers: JwtBearers, provider: Provider, clock: FakeClock
) -> None:
    lasting = signed(exp=NOW + 10_000)
    await bearers.identify(lasting)
    provider.broken = OSError("away")
    await clock.advance(3_500.0)
    await bearers.identify(lasting)
    await clock.advance(200.0)
    assert await reason(bearers, lasting) == "KEY_SET_AWAY"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [7, {"kty": "EC"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}',
        b"x" * (2 << 20),
    ],
)
async def test_a_key_set_that_cannot_be_used_gives_no_keys(bearers: JwtBearers, provider: Provider, text: bytes) -> None:
    provider.text = text
    assert await reason(bearers, signed()) == "KEY_SET_AWAY"


async def test_private_parts_that_a_key_set_shows_are_not_kept(provider: Provider, clock: FakeClock) -> None:
    provider.text = published(EC, private=True)
    [key] = await KeySet(provider, clock, OPTIONS).candidates("ec")
    assert not key.is_private


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"jwks": "http://id.example/keys"}, "jwks"),
        ({"jwks": "ftp://id.example/keys"}, "jwks"),
        ({"issuer": ""}, "issuer"),
        ({"audience": ""}, "audience"),
        ({"scope_claim": ""}, "scope_claim"),
        ({"leeway_s": -1.0}, "leeway_s"),
    ],
)
def test_options_that_would_let_strangers_in_are_refused_by_name(wrong: dict[str, Any], field: str) -> None:
    right: dict[str, Any] = {"jwks": "https://id.example/keys", "issuer": "https://id.example", "audience": "synapsenet"}
    SecurityOptions(**right)
    SecurityOptions(**{**right, "jwks": "http://127.0.0.1:9/keys"})
    with pytest.raises(InvalidArgument) as refusal:
        SecurityOptions(**{**right, **wrong})
    assert refusal.value.field == f"security.{field}"
