"""`synapsenet outbox`: events that the brokers refused for good, shown, tried again or given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from synapsenet_servers.commands.refusing import refusing

if TYPE_CHECKING:
    from synapsenet.platform.relay_log import ParkedEvent, ParkedEvents

T = TypeVar("T")

app = typer.Typer(
    help="Events that the brokers refused for good: show, retry, skip.", no_args_is_help=True, rich_markup_mode=None
)

_WITHIN_S = 30.0

ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file that says where PostgreSQL is.")]
Area = Annotated[str, typer.Option(help="The area in whose outbox it is.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]


@app.command()
def parked(
    area: Annotated[str, typer.Option(help="One area; all by default.")] = "",
    limit: Annotated[int, typer.Option(help="Of each area at most so many.", min=1, max=10_000)] = 50,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what was refused, the oldest first, and how many events wait behind it."""
    from synapsenet_servers.bootstrap.outbox import AREAS

    with refusing():
        areas = (area,) if area else AREAS
        found = {one: _with_parked(one, config, lambda events: events.refused(limit=limit)) for one in areas}
    answers = {one: answer for one, answer in found.items() if answer is not None}
    if as_json:
        _print_json({one: {"refused": [_facts(each) for each in events], "behind": n} for one, (events, n) in answers.items()})
        return
    for one, (events, behind) in answers.items():
        for event in events:
            typer.echo(
                f"{one}  {event.event_id}  {event.aggregate}  {event.reason}  since {event.parked_at:%Y-%m-%d %H:%M:%S}Z"
            )
        if behind:
            typer.echo(f"{one}  {behind} more wait behind refused ones")
    if not any(events or behind for events, behind in answers.values()):
        typer.echo("nothing is parked")


@app.command()
def retry(
    area: Area,
    event_id: Annotated[str, typer.Argument(metavar="[EVENT_ID]", help="As `parked` shows it.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="Every refused event of the area.")] = False,
    config: ConfigFile = None,
) -> None:
    """Have a refused event tried again, once its cause is mended; those behind it follow in their order."""
    if bool(event_id) == all_:
        raise typer.BadParameter("name one event, or say --all", param_hint="EVENT_ID")
    with refusing():
        count = _with_parked(area, config, lambda events: events.retry(event_id))
        _require(count or all_, area, event_id)
    typer.echo(f"{area}  {count or 0} to be tried again")


@app.command()
def skip(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="As `parked` shows it.")],
    area: Area,
    config: ConfigFile = None,
) -> None:
    """Give a refused event up: consumers never see it, and those behind it follow. It stays in the area's log."""
    with refusing():
        count = _with_parked(area, config, lambda events: events.skip(event_id))
        _require(count, area, event_id)
    typer.echo(f"{area}  {event_id} is skipped")


def _require(done: int | bool | None, area: str, event_id: str) -> None:
    from synapsenet.errors import NotFound

    if not done:
        raise NotFound(
            "EVENT_NOT_PARKED",
            f"no refused event {event_id} in the outbox of {area}",
            remedy="see `synapsenet outbox parked`: only what was refused itself can be retried or skipped",
        )


def _with_parked(area: str, config: Path | None, use: Callable[[ParkedEvents], Awaitable[T]]) -> T | None:
    """What `use` makes of an area's parked events; None if it has no outbox yet."""
    from synapsenet_servers import config as configuration
    from synapsenet_servers.bootstrap.outbox import open_parked_events

    settings = configuration.load(config)

    async def used() -> T | None:
        async with asyncio.timeout(_WITHIN_S), open_parked_events(area, settings.postgres) as events:
            return None if events is None else await use(events)

    return asyncio.run(used())


def _facts(event: ParkedEvent) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "aggregate": event.aggregate,
        "position": str(event.position),
        "reason": event.reason,
        "parked_at": event.parked_at.isoformat(),
    }


def _print_json(data: Any) -> None:
    import json

    typer.echo(json.dumps(data))
