"""What a process of the cluster profile needs to know its callers, put together; and the tokens, for whoever tends them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypedDict

import grpc

from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.postgres_server import COORDINATION, open_schema
from synapsenet.adapters.sql.tokens import SqlTokens
from synapsenet.platform.tokens import Tokens
from synapsenet_servers.bootstrap.role import Platform
from synapsenet_servers.interceptors.authorization import Authorization
from synapsenet_servers.security.bearers import authorization
from synapsenet_servers.security.credentials import server_credentials


class Secured(TypedDict):
    """What a server takes to know its callers; both None where it asks nobody."""

    credentials: grpc.ServerCredentials | None
    authorization: Authorization | None


async def secured(platform: Platform, stack: AsyncExitStack) -> Secured:
    """TLS and the authorization step, as `[security]` says.

    Raises:
        FailedPrecondition: CERTIFICATE_UNUSABLE.
        Unavailable: DATABASE_UNAVAILABLE, where the tokens are.
    """
    options, tokens = platform.config.security, platform.tokens
    credentials = server_credentials(options)
    if options.secured and options.tokens and tokens is None:
        tokens = await stack.enter_async_context(open_tokens(platform.config.postgres))
    return Secured(credentials=credentials, authorization=authorization(options, tokens=tokens, clock=platform.clock))


@asynccontextmanager
async def open_tokens(options: PostgresOptions) -> AsyncIterator[Tokens]:
    """The tokens of the cluster, inside an `async with`.

    Raises:
        Unavailable: DATABASE_UNAVAILABLE.
        FailedPrecondition: DATABASE_LOGIN_REFUSED, DATABASE_UNKNOWN, SCHEMA_NEWER.
    """
    async with open_schema(COORDINATION, replace(options, readers=1)) as database:
        yield SqlTokens(database)
