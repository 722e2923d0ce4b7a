"""`synapsenet backup` and `synapsenet restore`: areas with their files, from a running platform to an empty one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synapsenet_servers.commands.develop import DATA
from synapsenet_servers.commands.refusing import refusing

if TYPE_CHECKING:
    from synapsenet_servers.bootstrap.backups import Place

ConfigFile = Annotated[Path | None, typer.Option("--config", help="A cluster's TOML file: the records are in its PostgreSQL.")]
DataDir = Annotated[Path, typer.Option(help="The data folder of `synapsenet dev`; with --config, of the process of the area.")]

_LEFT_OUT = "the features' values and history and all artifacts were left out: copy them by other means"


def backup(
    to: Annotated[Path, typer.Option(help="The file to write; for several areas a folder, in which each gets its own.")],
    areas: Annotated[list[str] | None, typer.Argument(metavar="[AREA]...", help="All by default.")] = None,
    data_dir: DataDir = DATA,
    config: ConfigFile = None,
    records_only: Annotated[bool, typer.Option("--records-only", help="Leave out features' values and artifacts.")] = False,
) -> None:
    """Back up areas while the platform runs: the records of each as of one instant, with all files that they promise."""
    from synapsenet.clock import SystemClock
    from synapsenet_servers.bootstrap.backups import back_up, started

    with refusing():
        place = _place(data_dir, config)
        wanted = areas or started(place)
        if len(wanted) != 1:
            to.mkdir(parents=True, exist_ok=True)
        for area in wanted:
            file = to if len(wanted) == 1 else to / f"{area}.backup"
            manifest, digest = back_up(area, place, file, clock=SystemClock(), records_only=records_only)
            typer.echo(f"{manifest.summary}  {file}")
            typer.echo(f"  sha256 {digest}")
    if records_only:
        typer.echo(_LEFT_OUT, err=True)


def restore(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What `backup` wrote, one file an area.")],
    data_dir: DataDir = DATA,
    config: ConfigFile = None,
) -> None:
    """Make areas from their backups, where there is nothing of them yet; older ones are brought to this release's schema."""
    from synapsenet.clock import SystemClock
    from synapsenet_servers.bootstrap.backups import restore as restored

    with refusing():
        for manifest in restored(files, _place(data_dir, config), clock=SystemClock()):
            typer.echo(manifest.summary)


def _place(data: Path, config: Path | None) -> Place:
    from synapsenet_servers import config as configuration
    from synapsenet_servers.bootstrap.backups import Place

    if config is None:
        return Place(data=data)
    settings = configuration.load(config)
    return Place(data=data, postgres=settings.postgres, artifacts=settings.artifacts.url)
