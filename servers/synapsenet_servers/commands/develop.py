"""`synapsenet dev`: the whole platform on this machine, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synapsenet_servers.commands.refusing import refusing

if TYPE_CHECKING:
    from synapsenet_servers.addresses import Addresses

PORT = 7400
HTTP_PORT = 7480
DATA = Path(".synapsenet")


def dev(
    port: Annotated[int, typer.Option(help="gRPC on loopback; 0: a free one.", min=0, max=65_535)] = PORT,
    http_port: Annotated[int, typer.Option(help="Envoy: HTTP/JSON, gRPC; 0: a free one.", min=0, max=65_535)] = HTTP_PORT,
    data_dir: Annotated[Path, typer.Option(help="Where everything is kept.")] = DATA,
    config: Annotated[Path | None, typer.Option(help="TOML file.")] = None,
) -> None:
    """Run the whole platform on this machine, until Ctrl-C."""
    from synapsenet_servers import config as configuration
    from synapsenet_servers import dev as platform

    with refusing():
        settings = configuration.load(config)
        options = platform.DevOptions(port=port, http_port=http_port, data=data_dir, config=settings)
        platform.main(options, announce)


def announce(addresses: Addresses) -> None:
    """Three lines that people read and programs can wait for, and one for the metrics' page if there is one."""
    typer.echo(f"gRPC  {addresses.grpc}")
    typer.echo(f"HTTP  http://{addresses.http}")
    typer.echo(f"data  {addresses.data}")
    if addresses.metrics:
        typer.echo(f"metrics  http://{addresses.metrics}/metrics")
