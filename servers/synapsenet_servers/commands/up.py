"""`synapsenet up`: the cluster profile on this machine, for trying it out, until Ctrl-C."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from synapsenet_servers.commands.develop import HTTP_PORT, PORT, announce
from synapsenet_servers.commands.refusing import refusing

UP_DATA = Path(".synapsenet/up")


def up(
    port: Annotated[int, typer.Option(help="Envoy on loopback: gRPC, HTTP/JSON; 0: a free one.", min=0, max=65_535)] = PORT,
    http_port: Annotated[int, typer.Option(help="The same on a second port; 0: a free one.", min=0, max=65_535)] = HTTP_PORT,
    data_dir: Annotated[Path, typer.Option(help="Where everything is kept.")] = UP_DATA,
) -> None:
    """Run the cluster profile on this machine, every part a process of its own, until Ctrl-C."""
    from rich.console import Console

    from synapsenet_servers.up.options import UpOptions
    from synapsenet_servers.up.run import main
    from synapsenet_servers.up.status import Telling

    with refusing():
        options = UpOptions(port=port, http_port=http_port, data=data_dir)
        main(options, Telling(Console(), sys.stderr), announce)
