"""`synapsenet monitoring`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from synapsenet_cli.inputs import pairs, seconds
from synapsenet_cli.session import Session, command

app = typer.Typer(help="Alerts, silences and consistency reports; freshness is `features freshness`.", no_args_is_help=True)
silences = typer.Typer(help="Keep matching alerts quiet.", no_args_is_help=True)
consistency = typer.Typer(help="Whether online values are those of the history.", no_args_is_help=True)
app.add_typer(silences, name="silences")
app.add_typer(consistency, name="consistency")


def show_freshness(
    session: Session, *, groups: Sequence[str], states: Sequence[str], entities: Sequence[str], top_k: int, watch: bool
) -> None:
    """Freshness of groups, or of entities of one group, once or for ever."""
    if entities and len(groups) != 1:
        raise typer.BadParameter("entities belong to one group: name it", param_hint="--entity")
    monitoring = session.client.monitoring
    if watch:
        with monitoring.watch_freshness(groups=groups, entities=entities, states=states, top_k=top_k) as answers:
            for answer in answers:
                facts = [*(_group_line(group) for group in answer.groups), *(_entity_line(one) for one in answer.entities)]
                session.out.line(answer, "\n".join([answer.as_of.ToJsonString(), *facts]))
    elif entities:
        found = monitoring.entity_freshness(groups[0], entities, states=states)
        session.out.table("entities", found, _ENTITY_COLUMNS)
    else:
        columns = {
            "GROUP": lambda group: group.group,
            "STATE": _state,
            "NEWEST MS": lambda group: group.newest_age_ms if group.HasField("newest_age_ms") else "",
            "P99 MS": lambda group: group.age_ms.p99 if group.HasField("age_ms") else "",
            "ENTITIES": lambda group: group.tracked,
            "STALE": lambda group: group.stale_count,
        }
        found_groups = list(monitoring.freshness(groups=groups, states=states, top_k=top_k))
        session.out.table("groups", found_groups, columns)
        if top_k and not session.out.as_json:
            stalest = [one for group in found_groups for one in group.stalest]
            session.out.table("stalest", stalest, {"GROUP": lambda one: one.group, **_ENTITY_COLUMNS})


@command(app, "alerts")
def alerts(
    session: Session,
    group: Annotated[str, typer.Option(help="Only of this group.")] = "",
    state: Annotated[list[str] | None, typer.Option(help="PENDING, FIRING or RESOLVED; may be repeated.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Every change as it happens, until Ctrl-C.")] = False,
) -> None:
    """List alerts, the newest first."""
    if watch:
        with session.client.monitoring.watch_alerts(group=group) as changes:
            for change in changes:
                session.out.line(change, f"{change.position} {change.alert.group}: {change.alert.summary}")
        return
    columns = {
        "GROUP": lambda alert: alert.group,
        "SINCE": lambda alert: alert.start_time.ToJsonString(),
        "ENTITIES": lambda alert: alert.affected_entities,
        "SUMMARY": lambda alert: alert.summary,
    }
    session.out.table("alerts", session.client.monitoring.list_alerts(group=group, states=state or []), columns)


@command(silences, "create")
def create_silence(
    session: Session,
    matcher: Annotated[list[str], typer.Argument(metavar="LABEL=VALUE…", help="Labels that an alert must carry.")],
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long from now: 30m, 2h …")],
    reason: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Keep matching alerts quiet for a while."""
    end = datetime.now(UTC) + timedelta(seconds=seconds("--for", lasting))
    session.out.record(session.client.monitoring.create_silence(pairs("LABEL=VALUE", matcher), end_time=end, reason=reason))


@command(silences, "list")
def list_silences(
    session: Session, expired: Annotated[bool, typer.Option("--expired", help="Also those that have ended.")] = False
) -> None:
    """List the silences, the newest first."""
    columns = {
        "ID": lambda silence: silence.id,
        "MATCHERS": lambda silence: dict(silence.matchers),
        "UNTIL": lambda silence: silence.end_time.ToJsonString(),
        "REASON": lambda silence: silence.reason,
    }
    session.out.table("silences", session.client.monitoring.list_silences(include_expired=expired), columns)


@command(silences, "expire")
def expire_silence(session: Session, silence: Annotated[str, typer.Argument(metavar="SILENCE")]) -> None:
    """End a silence now."""
    session.out.record(session.client.monitoring.expire_silence(silence))


@command(consistency, "check")
def check(
    session: Session,
    group: Annotated[str, typer.Argument(metavar="GROUP")],
    sample: Annotated[int, typer.Option(help="Keys to compare; 0: the group's policy.")] = 0,
) -> None:
    """Compare a group's online values with its history now."""
    session.out.record(session.client.monitoring.check_consistency(group, sample_size=sample))


@command(consistency, "list")
def list_reports(session: Session, group: Annotated[str, typer.Option(help="Only of this group.")] = "") -> None:
    """List the consistency reports, the newest first."""
    columns = {
        "ID": lambda report: report.id,
        "GROUP": lambda report: report.group,
        "AS OF": lambda report: report.as_of.ToJsonString(),
        "SAMPLED": lambda report: report.sampled,
        "MISMATCH": lambda report: report.mismatch.fraction,
    }
    session.out.table("reports", session.client.monitoring.list_reports(group=group), columns)


@command(consistency, "get")
def get_report(session: Session, report: Annotated[str, typer.Argument(metavar="REPORT")]) -> None:
    """Show a consistency report."""
    session.out.record(session.client.monitoring.get_report(report))


def _group_line(group: Any) -> str:
    return f"  {group.group} {_state(group)} {group.newest_age_ms:.1f} ms, {group.stale_count} of {group.tracked} stale"


def _entity_line(entity: Any) -> str:
    return f"  {entity.group} {entity.entity} {_state(entity)} {entity.event_age_ms:.1f} ms"


def _state(item: Any) -> str:
    from synapsenet_api.monitoring.v1.freshness_pb2 import FreshnessState
    from synapsenet_client import enum_name

    return enum_name(FreshnessState, item.state)


_ENTITY_COLUMNS = {"ENTITY": lambda one: one.entity, "STATE": _state, "AGE MS": lambda one: one.event_age_ms}
