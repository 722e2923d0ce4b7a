"""`synapsenet lifecycle torture`: random operations under random faults on a platform of its own, and what came of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from synapsenet_servers.commands.refusing import refusing

if TYPE_CHECKING:
    from synapsenet_servers.commands.torture.trial import Verdict

_BROKEN = 1


def torture(
    operations: Annotated[int, typer.Option(help="How many operations to ask for.", min=1, max=100_000)] = 400,
    faults: Annotated[bool, typer.Option("--faults", help="Kill, stop, cut and corrupt meanwhile.")] = False,
    models: Annotated[int, typer.Option(help="On how many models.", min=1, max=64)] = 4,
    seed: Annotated[int, typer.Option(help="Of what is chosen by chance; the moments are not.")] = 1,
) -> None:
    """Try the lifecycle: exit with 1 if an event is lost, a state is illegal or an operation is stuck."""
    import asyncio
    import tempfile
    from pathlib import Path

    from synapsenet_servers.commands.torture.trial import Trial

    with refusing(), tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as folder:
        trial = Trial(operations=operations, models=models, with_faults=faults, seed=seed)
        verdict = asyncio.run(trial.run(Path(folder)))
    _show(verdict)
    if not verdict.holds:
        raise typer.Exit(_BROKEN)


def _show(verdict: Verdict) -> None:
    typer.echo(f"operations {sum(verdict.asked.values())} in {verdict.seconds:.0f} s")
    for title, counts in (("asked", verdict.asked), ("outcomes", verdict.outcomes), ("faults", verdict.faults)):
        for name, count in sorted(counts.items()):
            typer.echo(f"  {title:9} {count:5}  {name}")
    for sentence in verdict.findings.all:
        typer.echo(f"  broken: {sentence}")
    found = verdict.findings
    typer.echo(f"faults {sum(verdict.faults.values())}")
    typer.echo(f"lost events {len(found.lost)}, illegal states {len(found.illegal)}, stuck operations {len(found.stuck)}")
