"""`synapsenet certs`: certificates for a cluster that has no authority of its own, made, shown and renewed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from synapsenet_servers.commands.refusing import refusing

app = typer.Typer(help="Certificates of a cluster: make, show, renew.", no_args_is_help=True, rich_markup_mode=None)

FOLDER = Path("certificates")
_SOON_DAYS = 14

Days = Annotated[int, typer.Option(help="How long they are valid.", min=1, max=3650)]
Folder = Annotated[Path, typer.Option("--dir", help="The folder with the certificates.")]


@app.command()
def init(
    out: Annotated[Path, typer.Option(help="Where to put them.")] = FOLDER,
    host: Annotated[list[str] | None, typer.Option(help="A name or address of a machine; may be repeated.")] = None,
    days: Days = 365,
    trust_domain: Annotated[str, typer.Option(help="The name in the identities, as security.trust_domain.")] = "synapsenet",
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Make an authority, and a certificate for each part of a cluster, for development and small installations."""
    from synapsenet.clock import SystemClock
    from synapsenet_servers.security import certificates
    from synapsenet_servers.security.options import SecurityOptions

    with refusing():
        SecurityOptions(trust_domain=trust_domain)
        made = certificates.make_all(
            out, hosts=host or (), life=timedelta(days=days), now=SystemClock().now(), trust_domain=trust_domain, force=force
        )
        for path in made:
            typer.echo(path)
        typer.echo(
            f"keys beside them (*.key); whoever has {out / 'ca.key'} can make any identity: keep it off the cluster", err=True
        )


@app.command()
def show(folder: Folder = FOLDER) -> None:
    """Who the certificates are for, and until when; status 1 if one has expired."""
    from synapsenet.clock import SystemClock
    from synapsenet_servers.security import certificates

    with refusing():
        found = certificates.shown(folder)
    now = SystemClock().now()
    for each in found:
        left = each.not_after - now
        state = "EXPIRED" if left <= timedelta(0) else "ends soon" if left < timedelta(days=_SOON_DAYS) else "valid"
        typer.echo(
            f"{each.path.name}  {state} until {each.not_after:%Y-%m-%d %H:%M} UTC  CN={each.common_name}  by {each.issuer}"
        )
        for name in each.names:
            typer.echo(f"    {name}")
    if any(each.not_after <= now for each in found):
        raise typer.Exit(1)


@app.command()
def renew(
    folder: Folder = FOLDER,
    days: Days = 365,
    new_keys: Annotated[bool, typer.Option("--new-keys", help="Make new private keys as well.")] = False,
) -> None:
    """Sign all certificates anew, for the same names, by the authority in the folder; nothing needs a restart."""
    from synapsenet.clock import SystemClock
    from synapsenet_servers.security import certificates

    with refusing():
        for path in certificates.renew(folder, life=timedelta(days=days), now=SystemClock().now(), new_keys=new_keys):
            typer.echo(path)
