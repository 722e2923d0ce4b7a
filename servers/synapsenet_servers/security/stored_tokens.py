"""Recognizing the platform's own tokens, with few looks into their store.

What was looked up is remembered for a moment, which is how long a revoked token may still pass. While the store is away, tokens
that were known pass a little longer: nobody can revoke one meanwhile either.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from synapsenet.clock import Clock
from synapsenet.errors import ResourceExhausted, Unauthenticated, Unavailable
from synapsenet.platform.tokens import Token, Tokens, split
from synapsenet_servers.security.callers import Bearers, Caller
from synapsenet_servers.security.options import SecurityOptions

_LOOKUPS = 8
_LOOKUP_S = 2.0


@dataclass(frozen=True, slots=True)
class _Remembered:
    token: Token | None
    looked_up_at: float


class StoredTokens(Bearers):
    """Recognizes `snt_…` by the store that all processes share."""

    def __init__(self, tokens: Tokens, clock: Clock, options: SecurityOptions) -> None:
        self._tokens = tokens
        self._clock = clock
        self._fresh_s = options.token_cache_s
        self._grace_s = options.token_grace_s
        self._bound = options.token_cache_entries
        self._known: OrderedDict[str, _Remembered] = OrderedDict()
        self._unknown: OrderedDict[str, _Remembered] = OrderedDict()  # apart, so that guesses drive out no token
        self._lookups: dict[str, asyncio.Task[Token | None]] = {}
        self._room = asyncio.Semaphore(_LOOKUPS)

    async def identify(self, token: str) -> Caller:
        if (parts := split(token)) is None:
            raise Unauthenticated("TOKEN_MALFORMED", "this is no token of SynapseNet", remedy="send the whole of it")
        public_id, secret = parts
        kept = await self._find(public_id)
        if kept is None or not kept.matches(secret):
            raise Unauthenticated("TOKEN_UNKNOWN", "no such token is known", remedy="create one by `synapsenet tokens create`")
        facts = {"caller": _called(kept)}
        if kept.revoked_at is not None:
            sentence = f"the token {_called(kept)} was revoked at {kept.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
            raise Unauthenticated("TOKEN_REVOKED", sentence, remedy="use another", metadata=facts)
        if kept.is_expired(self._clock.now()):
            sentence = f"the token {_called(kept)} ended at {kept.expires_at:%Y-%m-%d %H:%M:%S} UTC"
            raise Unauthenticated("TOKEN_EXPIRED", sentence, remedy="use a newer one", metadata=facts)
        return Caller(name=_called(kept), scopes=kept.scopes)

    async def _find(self, id: str) -> Token | None:
        remembered = self._known.get(id) or self._unknown.get(id)
        if remembered is not None and self._age(remembered) < self._fresh_s:
            return remembered.token
        try:
            return await self._look_up(id)
        except (Unavailable, ResourceExhausted, TimeoutError) as away:
            if remembered is not None and remembered.token is not None and self._age(remembered) < self._grace_s:
                return remembered.token
            sentence = "tokens cannot be checked now, their store does not answer"
            raise Unavailable("TOKEN_STORE_AWAY", sentence, remedy="retry", retry_after=1.0) from away

    def _age(self, remembered: _Remembered) -> float:
        return self._clock.monotonic() - remembered.looked_up_at

    async def _look_up(self, id: str) -> Token | None:
        """One lookup for all who ask for the same token at one time; it goes on if one of them gives up."""
        if (lookup := self._lookups.get(id)) is None:
            lookup = self._lookups[id] = asyncio.create_task(self._ask_store(id), name=f"token {id}")
            lookup.add_done_callback(lambda done: self._ended(id, done))
        return await asyncio.shield(lookup)

    async def _ask_store(self, id: str) -> Token | None:
        async with asyncio.timeout(_LOOKUP_S), self._room:
            asked_at = self._clock.monotonic()
            found = await self._tokens.find(id)
        memory, other = (self._unknown, self._known) if found is None else (self._known, self._unknown)
        other.pop(id, None)
        memory[id] = _Remembered(found, asked_at)
        memory.move_to_end(id)
        if len(memory) > self._bound:
            memory.popitem(last=False)
        return found

    def _ended(self, id: str, lookup: asyncio.Task[Token | None]) -> None:
        del self._lookups[id]
        if not lookup.cancelled():
            lookup.exception()  # whoever waited was told; if nobody waits any more, nobody needs to be


def _called(token: Token) -> str:
    return f"{token.name!r} (snt_{token.id})"
