"""The authorization step: who calls, by certificate and token, and whether they may. No message is read before it.

In this order: what is open passes; the mesh itself passes; control services are for nobody else; everybody else needs a bearer
token with the scope of the call, except at an anonymous edge or where the operator does without tokens.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from synapsenet.errors import PermissionDenied, SynapseError, Unauthenticated
from synapsenet.platform.scopes import Scope
from synapsenet_servers.interceptors.standing import Standing
from synapsenet_servers.security.acting import act_for, forwarded
from synapsenet_servers.security.callers import Bearers, spelled
from synapsenet_servers.security.identity import described, spiffe_identity
from synapsenet_servers.security.options import SecurityOptions
from synapsenet_servers.security.permissions import Access, need

_log = logging.getLogger(__name__)

_HEADER = "authorization"
_SCHEME = "bearer "
_LONGEST = 8_192
_SHORTEST_PAUSE_S = 1.0


class Authorization:
    """Decides over every call of the servers that it is given to.

    Args:
        bearers: recognizes tokens; None if this platform has none.
    """

    def __init__(self, options: SecurityOptions, bearers: Bearers | None) -> None:
        self._mesh = options.mesh_identity
        self._edge = options.edge_identity
        self._anonymous_edge = options.anonymous
        self._asks_for_tokens = options.tokens
        self._bearers = bearers
        self._again_s = max(_SHORTEST_PAUSE_S, options.token_cache_s)

    async def check(self, method: str, context: Any, standing: Standing | None = None) -> None:
        """Pass if the caller may call `method`; a refusal is logged: who, what and why, and no secret.

        Args:
            standing: of a call that lasts: it ends once the token that it began with is no longer good.

        Raises:
            Unauthenticated: TOKEN_MISSING, TOKEN_MALFORMED, TOKEN_UNKNOWN, TOKEN_EXPIRED, TOKEN_REVOKED.
            PermissionDenied: MESH_IDENTITY_MISSING, SCOPE_MISSING.
            Unavailable: TOKEN_STORE_AWAY.
        """
        wanted = need(method)
        if wanted.access is Access.OPEN:
            return
        identity = spiffe_identity(context.auth_context())
        if identity == self._mesh:
            act_for(forwarded(context.invocation_metadata()) or identity)
            return
        act_for("" if identity == self._edge else identity)  # the edge calls for others, whom their tokens name
        try:
            if wanted.access is Access.MESH:
                raise _not_the_mesh(method, identity, self._mesh)
            by_token = await self._check_bearer(method, wanted.scope, identity, context)
        except SynapseError as refused:
            _tell(method, context, identity, refused)
            raise
        if standing is not None and by_token:

            async def ask_again() -> None:
                await self._check_bearer(method, wanted.scope, identity, context)

            standing.keep(ask_again, every_s=self._again_s, lost=partial(_tell, method, context, identity))

    async def _check_bearer(self, method: str, wanted: Scope, identity: str, context: Any) -> bool:
        """Pass if the caller has what is `wanted`; whether a token gave it."""
        if not self._asks_for_tokens:
            return False
        token = _bearer_token(context.invocation_metadata())
        if token is None:
            if self._anonymous_edge and identity == self._edge:
                return False
            raise _missing(method, str(wanted))
        if self._bearers is None:
            raise Unauthenticated("TOKENS_UNKNOWN", "this server knows no tokens", remedy="call another one")
        caller = await self._bearers.identify(token)
        act_for(caller.name)
        if not caller.may(wanted):
            raise PermissionDenied(
                "SCOPE_MISSING",
                f"{method} needs the scope {wanted}, and {caller.name} has {spelled(caller.scopes)}",
                remedy="use a token that has it",
                metadata={"method": method, "scope": str(wanted), "caller": caller.name},
            )
        return True


def _tell(method: str, context: Any, identity: str, refused: SynapseError) -> None:
    caller = refused.metadata.get("caller", "nobody")
    _log.warning("refused %s from %s with %s: %s (%s)", method, context.peer(), described(identity), refused.reason, caller)


def _bearer_token(metadata: Any) -> str | None:
    """The bearer token of a call; None if it brings no authorization at all.

    Raises:
        Unauthenticated: TOKEN_MALFORMED.
    """
    found = [value for key, value in metadata or () if key == _HEADER]
    if not found:
        return None
    value = found[0]
    if len(found) > 1:
        raise _malformed("there is more than one authorization header")
    if not isinstance(value, str) or not value.isascii() or value[: len(_SCHEME)].lower() != _SCHEME:
        raise _malformed("the authorization header is not `Bearer TOKEN`")
    token = value[len(_SCHEME) :].strip()
    if not token or len(token) > _LONGEST:
        raise _malformed(f"a token has 1 to {_LONGEST} characters")
    return token


def _malformed(problem: str) -> Unauthenticated:
    return Unauthenticated("TOKEN_MALFORMED", problem, remedy="send one header `authorization: Bearer TOKEN`")


def _missing(method: str, scope: str) -> Unauthenticated:
    return Unauthenticated(
        "TOKEN_MISSING",
        f"{method} needs a bearer token with the scope {scope}",
        remedy="send `authorization: Bearer TOKEN`; `synapsenet tokens create` makes one",
        metadata={"method": method, "scope": scope},
    )


def _not_the_mesh(method: str, identity: str, mesh: str) -> PermissionDenied:
    return PermissionDenied(
        "MESH_IDENTITY_MISSING",
        f"{method} is for the platform's own services, and the caller has {described(identity)}",
        remedy=f"connect with a certificate that names {mesh}",
        metadata={"method": method, "identity": mesh},
    )
