"""What every command shares: the options that reach the platform, the client, and the output."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from synapsenet_cli.output import Output

if TYPE_CHECKING:
    from synapsenet_client import Client

Target = Annotated[str, typer.Option("--target", metavar="HOST:PORT", help="Where the platform listens [$SYNAPSENET_TARGET].")]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on stdout: one object, or one a line for streams.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="Longest time for each call; 0: its default.")]


@dataclass(slots=True, kw_only=True)
class Settings:
    """The options before the command; `ctx.obj` of every command, those of the platform included.

    Attributes:
        target: empty: $SYNAPSENET_TARGET, else where `synapsenet dev` listens.
        json: JSON on stdout.
        timeout: seconds for each call; 0: the SDK's defaults.
        token: bearer token.
        ca: PEM file of authorities to trust; without it the connection is plain text.
        certificate: PEM file of this client's own certificate; with it the connection is TLS, too.
        key: PEM file of its private key.
    """

    target: str = ""
    json: bool = False
    timeout: float = 0.0
    token: str = field(default="", repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Session:
    """One command's way to the platform and to the person."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.out = Output(as_json=settings.json)

    @cached_property
    def client(self) -> Client:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it would log reaches people as our sentence
        from synapsenet_client import Options, Tls, connect

        given = self.settings
        files = {name: path for name in ("ca", "certificate", "key") if (path := getattr(given, name)) is not None}
        client = connect(given.target, options=Options(tls=Tls(**files) if files else None, token=given.token))
        return client.within(given.timeout) if given.timeout > 0 else client

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command of `app`. Its first parameter is a Session, which it gets in place of the options
    `--target`, `--json` and `--timeout`; they may stand before the command as well as after it."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        def run(ctx: typer.Context, *, target: str, json: bool, timeout: float, **arguments: Any) -> None:
            settings: Settings = ctx.obj
            settings.target = target or settings.target
            settings.json = json or settings.json
            settings.timeout = timeout or settings.timeout
            session = Session(settings)
            try:
                function(session, **arguments)
            finally:
                session.close()

        run.__signature__ = _signature(function)  # type: ignore[attr-defined]  # what typer reads
        run.__annotations__ = {name: kind.annotation for name, kind in _signature(function).parameters.items()}
        run.__doc__ = function.__doc__
        app.command(name)(run)
        return function

    return register


def _signature(function: Callable[..., None]) -> inspect.Signature:
    hints = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter("ctx", keyword, annotation=typer.Context),
            *(parameter.replace(kind=keyword, annotation=hints[parameter.name]) for parameter in own),
            inspect.Parameter("target", keyword, default="", annotation=Target),
            inspect.Parameter("json", keyword, default=False, annotation=Json),
            inspect.Parameter("timeout", keyword, default=0.0, annotation=Timeout),
        ]
    )
