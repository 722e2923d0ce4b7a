"""Whose business a token is: the platform's own, or an identity provider's."""

from __future__ import annotations

from synapsenet.clock import Clock
from synapsenet.errors import Unauthenticated
from synapsenet.platform.tokens import PREFIX, Tokens
from synapsenet_servers.interceptors.authorization import Authorization
from synapsenet_servers.security.callers import Bearers, Caller
from synapsenet_servers.security.options import SecurityOptions
from synapsenet_servers.security.stored_tokens import StoredTokens


class AnyBearers(Bearers):
    """Tokens with our prefix are looked up, whatever else must be a JWT of the identity provider, if there is one."""

    def __init__(self, stored: Bearers, provided: Bearers | None) -> None:
        self._stored = stored
        self._provided = provided

    async def identify(self, token: str) -> Caller:
        if token.startswith(PREFIX):
            return await self._stored.identify(token)
        if self._provided is None:
            raise Unauthenticated("TOKEN_MALFORMED", "this is no token of SynapseNet", remedy="send the whole of it")
        return await self._provided.identify(token)


def authorization(options: SecurityOptions, *, tokens: Tokens | None, clock: Clock) -> Authorization | None:
    """The authorization step as `options` say; None where the services ask nobody who they are (no certificate is named).

    Args:
        tokens: the platform's own tokens; None if there is no store of them.
    """
    if not options.secured:
        return None
    if tokens is None or not options.tokens:
        return Authorization(options, None)
    return Authorization(options, AnyBearers(StoredTokens(tokens, clock, options), _provided(options, clock)))


def _provided(options: SecurityOptions, clock: Clock) -> Bearers | None:
    if not options.jwks:
        return None
    # A tenth of the time that a process takes to start, which one without an identity provider need not take.
    from synapsenet_servers.security.identity_provider import JwtBearers
    from synapsenet_servers.security.key_sets import open_key_set

    return JwtBearers(open_key_set(options, clock), clock, options)
