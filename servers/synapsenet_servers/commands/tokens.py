"""`synapsenet tokens`: bearer tokens for callers from outside, created, listed and revoked in the cluster's database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from synapsenet_servers.commands.refusing import refusing

if TYPE_CHECKING:
    from synapsenet.platform.tokens import Token, Tokens

T = TypeVar("T")

app = typer.Typer(help="Bearer tokens of a cluster: create, list, revoke.", no_args_is_help=True, rich_markup_mode=None)

_WITHIN_S = 30.0

ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file that says where PostgreSQL is.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[list[str], typer.Option(help="AREA:read, AREA:write or AREA:admin, * for all areas; may be repeated.")],
    expires: Annotated[str, typer.Option(help="When it ends: a duration as 90d or 12h, or an RFC 3339 instant.")] = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Create a token, and print it: it is shown this once."""
    from synapsenet.clock import SystemClock
    from synapsenet.platform.tokens import mint
    from synapsenet_servers.security.permissions import known_scope

    with refusing():
        now = SystemClock().now()
        token, text = mint(name, [known_scope(each) for each in scope], now=now, expires_at=_end(expires, now))
        _with_tokens(config, lambda tokens: tokens.add(token))
        if as_json:
            _print_json({**_facts(token), "token": text})
        else:
            typer.echo(text)


@app.command(name="list")
def list_(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """All tokens, the newest first; never their secrets."""
    from synapsenet.clock import SystemClock

    with refusing():
        found = _with_tokens(config, lambda tokens: tokens.list())
    if as_json:
        _print_json({"tokens": [_facts(token) for token in found]})
        return
    now = SystemClock().now()
    for token in found:
        scopes = " ".join(str(scope) for scope in token.scopes)
        typer.echo(f"{token.id}  {_state(token, now):<28}  {token.name}  {scopes}")


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it, or the token itself.")],
    config: ConfigFile = None,
) -> None:
    """Take a token back; every process refuses it within seconds."""
    from synapsenet.clock import SystemClock
    from synapsenet.platform.tokens import PREFIX

    public_id = id.removeprefix(PREFIX).partition("_")[0]
    with refusing():
        token = _with_tokens(config, lambda tokens: tokens.revoke(public_id, SystemClock().now()))
    typer.echo(f"{token.id}  {_state(token, SystemClock().now())}  {token.name}")


def _with_tokens(config: Path | None, use: Callable[[Tokens], Awaitable[T]]) -> T:
    """What `use` makes of the cluster's tokens."""
    import asyncio

    from synapsenet.errors import Unavailable
    from synapsenet_servers import config as configuration
    from synapsenet_servers.bootstrap.security import open_tokens

    settings = configuration.load(config)

    async def used() -> T:
        async with asyncio.timeout(_WITHIN_S), open_tokens(settings.postgres) as tokens:
            return await use(tokens)

    try:
        return asyncio.run(used())
    except TimeoutError as late:
        sentence = f"the database did not answer within {_WITHIN_S:g} s"
        raise Unavailable("TOKEN_STORE_AWAY", sentence, remedy="see that PostgreSQL runs, then try again") from late


def _end(text: str, now: datetime) -> datetime | None:
    """The instant that `--expires` names; None for the empty text.

    Raises:
        InvalidArgument: TOKEN_EXPIRY_INVALID.
    """
    from synapsenet.errors import InvalidArgument
    from synapsenet_cli.inputs import instant, seconds

    if not text:
        return None
    with suppress(typer.BadParameter, OverflowError):
        return now + timedelta(seconds=seconds("--expires", text))
    with suppress(typer.BadParameter):
        return instant("--expires", text)
    raise InvalidArgument(
        "TOKEN_EXPIRY_INVALID",
        f"--expires: {text!r} is neither a duration nor an instant",
        remedy="give one such as 90d, 12h or 2027-01-01T00:00:00Z",
    )


def _state(token: Token, now: datetime) -> str:
    if token.revoked_at is not None:
        return f"revoked {token.revoked_at:%Y-%m-%d %H:%M}"
    if token.expires_at is None:
        return "valid"
    return f"{'expired' if token.is_expired(now) else 'valid until'} {token.expires_at:%Y-%m-%d %H:%M}"


def _facts(token: Token) -> dict[str, Any]:
    instants = {name: getattr(token, name) for name in ("created_at", "expires_at", "revoked_at")}
    return {
        "id": token.id,
        "name": token.name,
        "scopes": [str(scope) for scope in token.scopes],
        **{name: value and value.isoformat() for name, value in instants.items()},
    }


def _print_json(data: Any) -> None:
    import json

    typer.echo(json.dumps(data))
