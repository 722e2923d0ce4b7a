"""Recognizing whoever an identity provider vouches for: JSON Web Tokens (RFC 7519), by the habits of RFC 8725.

The algorithm must be on our list and fit the key's own kind; the key comes from the operator's key set, never from the token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError

from synapsenet.clock import Clock
from synapsenet.errors import InvalidArgument, Unauthenticated
from synapsenet.platform.scopes import Scope, parse_scope
from synapsenet_servers.security.callers import Bearers, Caller
from synapsenet_servers.security.key_sets import KeySet, PublicKey
from synapsenet_servers.security.options import SecurityOptions

ALGORITHMS: Mapping[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "Ed25519": "OKP",
}
"""Signatures with a private key, by the kind of the key: neither `none` nor HMAC, for which everybody's key would do.

`EdDSA`, which names no curve, is deprecated by RFC 9864 in favour of `Ed25519`.
"""

_MOST_CANDIDATES = 8
_LONGEST_KEY_ID = 256
_LONGEST_NAME = 100
_PARTS = 3
_REMEDY = "get a new one from the identity provider"


class JwtBearers(Bearers):
    """Recognizes JWTs of one issuer, made for one audience."""

    def __init__(self, keys: KeySet, clock: Clock, options: SecurityOptions) -> None:
        self._keys = keys
        self._scope_claim = options.scope_claim
        self._registry = jws.JWSRegistry(algorithms=list(ALGORITHMS))
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock.now().timestamp()),
            leeway=round(options.leeway_s),
            iss={"essential": True, "value": options.issuer},
            aud={"essential": True, "value": options.audience},
            exp={"essential": True},
        )

    async def identify(self, token: str) -> Caller:
        algorithm, kid = _header(token)
        candidates = [key for key in await self._keys.candidates(kid) if _fits(key, algorithm)]
        if not candidates:
            raise Unauthenticated(
                "TOKEN_UNKNOWN", _refusal("it is signed with a key that the identity provider does not publish"), remedy=_REMEDY
            )
        claims = self._verified(token, candidates[:_MOST_CANDIDATES], algorithm)
        name = claims.get("sub") or claims.get("client_id") or "somebody"
        return Caller(name=repr(str(name)[:_LONGEST_NAME]), scopes=_scopes(claims.get(self._scope_claim)))

    def _verified(self, token: str, candidates: list[PublicKey], algorithm: str) -> dict[str, Any]:
        """The claims, if the signature is of one of these keys and the claims hold."""
        for key in candidates:
            try:
                decoded = jwt.decode(token, key, algorithms=[algorithm], registry=self._registry)
            except (JoseError, ValueError):
                continue
            self._check_claims(decoded.claims)
            return decoded.claims
        raise Unauthenticated("TOKEN_UNKNOWN", _refusal("its signature is not the identity provider's"), remedy=_REMEDY)

    def _check_claims(self, claims: dict[str, Any]) -> None:
        try:
            self._claims.validate(claims)
        except ExpiredTokenError as expired:
            raise Unauthenticated("TOKEN_EXPIRED", _refusal("it has expired"), remedy=_REMEDY) from expired
        except ClaimError as wrong:
            problem = f"its claim {wrong.claim!r} is missing or not what this platform expects"
            raise Unauthenticated("TOKEN_CLAIM_WRONG", _refusal(problem), remedy=_REMEDY) from wrong


def _header(token: str) -> tuple[str, str]:
    """Algorithm and key id that the token names."""
    if token.count(".") != _PARTS - 1:
        raise Unauthenticated(
            "TOKEN_MALFORMED", _refusal("it is neither a token of SynapseNet nor a JSON Web Token"), remedy=_REMEDY
        )
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, AttributeError) as problem:
        sentence = _refusal("it is no JSON Web Token that can be read")
        raise Unauthenticated("TOKEN_MALFORMED", sentence, remedy=_REMEDY) from problem
    algorithm, kid = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Unauthenticated(
            "TOKEN_ALGORITHM_REFUSED", _refusal(f"it must be signed with one of {', '.join(ALGORITHMS)}"), remedy=_REMEDY
        )
    if not isinstance(kid, str) or len(kid) > _LONGEST_KEY_ID:
        raise Unauthenticated("TOKEN_MALFORMED", _refusal("its key id is no text"), remedy=_REMEDY)
    return algorithm, kid


def _fits(key: PublicKey, algorithm: str) -> bool:
    """The key is of the algorithm's kind, and, where it says so, made for this algorithm alone."""
    return key.key_type == ALGORITHMS[algorithm] and key.get("alg", algorithm) == algorithm


def _scopes(claim: Any) -> tuple[Scope, ...]:
    """The scopes among what the claim lists; those of other systems are none of ours."""
    listed = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    found = []
    for text in listed:
        try:
            found.append(parse_scope(str(text)))
        except InvalidArgument:
            continue
    return tuple(found)


def _refusal(problem: str) -> str:
    return f"the token is not accepted: {problem}"
