"""`synapsenet demo`: the platform's main job on real data, on a platform of its own or on one that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synapsenet_servers.commands.develop import DATA, HTTP_PORT
from synapsenet_servers.commands.refusing import refusing

if TYPE_CHECKING:
    from synapsenet_cli.session import Settings


def demo(
    ctx: typer.Context,
    target: Annotated[str, typer.Option(help="HOST:PORT of a running platform; without it the demo starts its own.")] = "",
    http: Annotated[str, typer.Option(help="HOST:PORT of that platform's HTTP, if it is another port.")] = "",
    data_dir: Annotated[Path, typer.Option(help="Where a platform of the demo's own keeps everything.")] = DATA,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, progress on stderr.")] = False,
) -> None:
    """Run the main job on real data: features, training, sweep, validation, serving, comparison, a failure."""
    from rich.console import Console

    from synapsenet.clock import SystemClock
    from synapsenet_client import connect
    from synapsenet_servers.commands.demo.edge import Edge
    from synapsenet_servers.commands.demo.journey import Journey
    from synapsenet_servers.commands.demo.telling import Telling

    settings: Settings = ctx.obj
    settings.json = as_json = as_json or settings.json
    console = Console(stderr=as_json)
    with refusing(), _platform(target or settings.target, http, data_dir) as (grpc, edge), connect(grpc) as client:
        outcome = Journey(client, Edge(edge), Telling(console), grpc=grpc, clock=SystemClock()).run()
    if as_json:
        typer.echo(json.dumps(outcome.as_json()))
    else:
        outcome.show(console)
        if not (target or settings.target):
            console.print(f"synapsenet dev --data-dir {data_dir}   starts the platform on this data again", highlight=False)
    with refusing():
        outcome.require_restored()


@contextmanager
def _platform(target: str, http: str, data: Path) -> Iterator[tuple[str, str]]:
    """The gRPC and HTTP addresses of the platform to use, started for the time of the demo if no target is given."""
    from synapsenet_servers.commands.demo.own_platform import http_address, own_platform

    if target:
        yield target, http or http_address(target, default_port=HTTP_PORT)
    else:
        with own_platform(data) as addresses:
            yield addresses
