"""`synapsenet serve`: some roles of a cluster in this process, until SIGTERM or Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synapsenet_servers.commands.refusing import refusing

if TYPE_CHECKING:
    from synapsenet_servers.serve import Served

DATA = Path(".synapsenet")


def serve(
    roles: Annotated[list[str], typer.Argument(metavar="ROLE...", help="What to serve: areas, or mesh.")],
    config: Annotated[Path | None, typer.Option(help="TOML file: where etcd and PostgreSQL are.")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT or unix:PATH; port 0: a free one.")] = None,
    zone: Annotated[str | None, typer.Option(help="Where this machine is.")] = None,
    data_dir: Annotated[Path, typer.Option(help="A folder of this process alone.")] = DATA,
) -> None:
    """Serve roles of a cluster, until SIGTERM or Ctrl-C."""
    from synapsenet_servers import config as configuration
    from synapsenet_servers import serve as process

    flags: dict[str, Any] = {name: value for name, value in (("listen", listen), ("zone", zone)) if value is not None}
    with refusing():
        settings = configuration.load(config, {"mesh": flags} if flags else None)
        process.main(process.ServeOptions(roles=roles, data=data_dir, config=settings), _announce)


def _announce(served: Served) -> None:
    """Lines that people read and programs can wait for; the last one says that all is up."""
    for line in served.told:
        typer.echo(line)
    typer.echo(f"serving {served.address}")
