"""`synapsenet backup` and `synapsenet restore`: areas' records as files, from a running platform to an empty one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synapsenet_servers.commands.develop import DATA
from synapsenet_servers.commands.refusing import refusing

if TYPE_CHECKING:
    from synapsenet_servers.bootstrap.backups import Place

ConfigFile = Annotated[Path | None, typer.Option("--config", help="A cluster's TOML file: the records are in its PostgreSQL.")]
DataDir = Annotated[Path, typer.Option(help="The data folder of `synapsenet dev`, where there is no --config.")]

_LEFT_OUT = "the features' values and history, training sets' rows and artifacts are files beside the records: copy them"


def backup(
    to: Annotated[Path, typer.Option(help="The file to write; for several areas a folder, in which each gets its own.")],
    areas: Annotated[list[str] | None, typer.Argument(metavar="[AREA]...", help="All by default.")] = None,
    data_dir: DataDir = DATA,
    config: ConfigFile = None,
) -> None:
    """Back up areas' records while the platform runs, each as of one instant, with its outbox and request ids."""
    from synapsenet.clock import SystemClock
    from synapsenet_servers.bootstrap.backups import back_up, started

    with refusing():
        place = _place(data_dir, config)
        wanted = areas or started(place)
        if len(wanted) != 1:
            to.mkdir(parents=True, exist_ok=True)
        for area in wanted:
            file = to if len(wanted) == 1 else to / f"{area}.backup"
            manifest, digest = back_up(area, place, file, clock=SystemClock())
            rows = sum(manifest.rows.values())
            typer.echo(f"{area}  schema {manifest.revision}  {rows} rows  newest event {manifest.newest}  {file}")
            typer.echo(f"  sha256 {digest}")
    typer.echo(_LEFT_OUT, err=True)


def restore(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What `backup` wrote, one file an area.")],
    data_dir: DataDir = DATA,
    config: ConfigFile = None,
) -> None:
    """Make areas' records from their backups, where there are none yet; older ones are brought to this release's schema."""
    from synapsenet_servers.bootstrap.backups import restore as restored

    with refusing():
        for manifest in restored(files, _place(data_dir, config)):
            rows = sum(manifest.rows.values())
            typer.echo(f"{manifest.area}  schema {manifest.revision}  {rows} rows  newest event {manifest.newest}")


def _place(data: Path, config: Path | None) -> Place:
    from synapsenet_servers import config as configuration
    from synapsenet_servers.bootstrap.backups import Place

    return Place(data=data, postgres=None if config is None else configuration.load(config).postgres)
