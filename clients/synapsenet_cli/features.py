"""`synapsenet features`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synapsenet_cli.inputs import batched, converted, instant, pairs, rows_of, seconds
from synapsenet_cli.monitoring import show_freshness
from synapsenet_cli.session import Session, command

if TYPE_CHECKING:
    from synapsenet_api.features.v1.feature_group_pb2 import FeatureGroup
    from synapsenet_client import FeatureRows

app = typer.Typer(help="Feature groups, values, training sets, freshness.", no_args_is_help=True)
groups = typer.Typer(help="Feature groups.", no_args_is_help=True)
training_sets = typer.Typer(help="Training sets.", no_args_is_help=True)
app.add_typer(groups, name="groups")
app.add_typer(training_sets, name="training-sets")

Group = Annotated[str, typer.Argument(metavar="GROUP")]
TrainingSet = Annotated[str, typer.Argument(metavar="TRAINING_SET")]
_BATCH_ROWS = 1_000


@command(groups, "create")
def create_group(
    session: Session,
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and underscores.")],
    key: Annotated[list[str], typer.Option(metavar="NAME=TYPE", help="An entity key, INT64 or STRING; may be repeated.")],
    feature: Annotated[
        list[str], typer.Option(metavar="NAME=TYPE", help="A feature: INT64, DOUBLE, STRING, FLOAT[64] …; may be repeated.")
    ],
    description: Annotated[str, typer.Option(help="For people.")] = "",
    max_age: Annotated[str, typer.Option(metavar="DURATION", help="Older values are marked in online reads: 5m, 2h …")] = "",
    warn_after: Annotated[str, typer.Option(metavar="DURATION", help="SLA: age above which the state is WARN.")] = "",
    error_after: Annotated[str, typer.Option(metavar="DURATION", help="SLA: age above which the state is STALE.")] = "",
) -> None:
    """Create a feature group."""
    session.out.record(
        session.client.features.create(
            name,
            entity_keys=pairs("--key", key),
            features=pairs("--feature", feature),
            description=description,
            max_age=seconds("--max-age", max_age) if max_age else None,
            sla=_sla(warn_after, error_after),
        )
    )


@command(groups, "get")
def get_group(session: Session, group: Group) -> None:
    """Show a feature group."""
    session.out.record(session.client.features.get(group))


@command(groups, "list")
def list_groups(session: Session) -> None:
    """List the feature groups by name."""
    columns = {
        "NAME": lambda group: group.name,
        "KEYS": lambda group: " ".join(key.name for key in group.entity_keys),
        "FEATURES": lambda group: len(group.features),
        "UPDATED": lambda group: group.update_time.ToJsonString(),
    }
    session.out.table("groups", session.client.features.list(), columns)


@command(groups, "set-sla")
def set_sla(
    session: Session,
    group: Group,
    error_after: Annotated[str, typer.Option(metavar="DURATION", help="Age above which it is STALE; empty: no SLA.")] = "",
    warn_after: Annotated[str, typer.Option(metavar="DURATION", help="Age above which the state is WARN.")] = "",
) -> None:
    """Change a group's freshness SLA, effective at once."""
    sla = _sla(warn_after, error_after)
    session.out.record(session.client.features.update(group, sla=sla, clear=[] if sla is not None else ["sla"]))


@command(groups, "delete")
def delete_group(session: Session, group: Group) -> None:
    """Delete a group with its values and its history."""
    session.client.features.delete(group)
    session.out.said(f"deleted {group}", deleted=group)


@command(app, "write")
def write(
    session: Session,
    group: Group,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rows as .csv, .json, .ndjson or .jsonl; - is NDJSON on stdin.")],
    time_column: Annotated[str, typer.Option(help="The column with the event time (RFC 3339).")] = "event_time",
    backfill: Annotated[bool, typer.Option("--backfill", help="It is history: raise no alerts.")] = False,
) -> None:
    """Write rows; columns are named as the group's keys and features. Each acknowledged batch is on disk."""
    rows = rows_of(file)
    schema = session.client.features.get(group)
    summary: Any = None
    with session.out.bar(f"writing {group}") as progress:
        batches = _batches(schema, rows, time_column, backfill)
        with session.client.features.write_stream(batches) as acknowledgements:
            for acknowledged in acknowledgements:
                summary = acknowledged.summary
                progress(summary.rows, summary.rows)
    if summary is None:
        session.out.said(f"{file} has no rows", rows=0)
    else:
        session.out.record(summary)


@command(app, "read")
def read(
    session: Session,
    features: Annotated[list[str], typer.Argument(metavar="GROUP:FEATURE…", help="References; GROUP:* is all of a group.")],
    entity: Annotated[list[str], typer.Option(metavar="KEY=VALUE[,KEY=VALUE]", help="An entity; may be repeated.")],
) -> None:
    """Read the newest values of entities."""
    kinds: dict[str, str] = {}
    for name in dict.fromkeys(reference.partition(":")[0] for reference in features):
        kinds |= {key.name: _type_name(key.type) for key in session.client.features.get(name).entity_keys}
    asked = [pairs("--entity", text.split(",")) for text in entity]
    columns = {key: converted(key, [one.get(key) for one in asked], kind) for key, kind in kinds.items()}
    answer = session.client.features.read(features, columns)
    rows = [{**one, **values} for one, values in zip(asked, answer.rows(), strict=True)]
    headers = dict.fromkeys([*kinds, *answer.values])
    session.out.table("rows", rows, {header: _picker(header) for header in headers})


@command(app, "freshness")
def freshness(
    session: Session,
    group: Annotated[list[str] | None, typer.Argument(metavar="[GROUP]…", help="By default all.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="Only in this state: FRESH, WARN, STALE …; may be repeated.")] = None,
    entity: Annotated[list[str] | None, typer.Option(help="Entities of the one group; may be repeated.")] = None,
    top_k: Annotated[int, typer.Option(help="Name that many of the stalest entities of each group.")] = 0,
    watch: Annotated[bool, typer.Option("--watch", help="Again after each change, until Ctrl-C.")] = False,
) -> None:
    """Show how fresh features are; ages in milliseconds."""
    show_freshness(session, groups=group or [], states=state or [], entities=entity or [], top_k=top_k, watch=watch)


@command(training_sets, "list")
def list_training_sets(session: Session) -> None:
    """List the training sets, the newest first."""
    columns = {
        "ID": lambda built: built.id,
        "NAME": lambda built: built.name,
        "ROWS": lambda built: built.rows,
        "FEATURES": lambda built: " ".join(built.features),
        "CREATED": lambda built: built.create_time.ToJsonString(),
    }
    session.out.table("training_sets", session.client.features.list_training_sets(), columns)


@command(training_sets, "get")
def get_training_set(session: Session, training_set: TrainingSet) -> None:
    """Show a training set."""
    session.out.record(session.client.features.get_training_set(training_set))


@command(training_sets, "build")
def build_training_set(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The rows: entity keys and the instant of each.")],
    feature: Annotated[list[str], typer.Option(metavar="GROUP:FEATURE", help="What to join; may be repeated.")],
    time_column: Annotated[str, typer.Option(help="The column with the instant (RFC 3339).")] = "instant",
    name: Annotated[str, typer.Option(help="For people.")] = "",
    max_age: Annotated[str, typer.Option(metavar="DURATION", help="Leave out older events.")] = "",
) -> None:
    """Join features to rows as they were at each row's instant."""
    rows = list(rows_of(file))
    kinds: dict[str, str] = {}
    for group in dict.fromkeys(reference.partition(":")[0] for reference in feature):
        kinds |= {key.name: _type_name(key.type) for key in session.client.features.get(group).entity_keys}
    names = [column for column in _names(rows) if column != time_column]
    spine = {column: converted(column, [row.get(column) for row in rows], kinds.get(column, "STRING")) for column in names}
    instants = [instant(time_column, str(row.get(time_column, ""))) for row in rows]
    age = seconds("--max-age", max_age) if max_age else None
    session.out.record(session.client.features.build_training_set(spine, instants, feature, name=name, max_age=age))


@command(training_sets, "download")
def download_training_set(
    session: Session,
    training_set: TrainingSet,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to, as one Arrow IPC stream.")],
) -> None:
    """Download a training set, checked by its SHA-256."""
    with session.out.bar(f"downloading {file.name}") as progress:
        path = session.client.features.download_training_set(training_set, file, progress=progress)
    session.out.said(f"wrote {path}", path=str(path), size_bytes=path.stat().st_size)


def _batches(group: FeatureGroup, source: Iterable[dict[str, Any]], time_column: str, backfill: bool) -> Iterator[FeatureRows]:
    from synapsenet_client import FeatureRows

    kinds = {key.name: _type_name(key.type) for key in group.entity_keys}
    kinds |= {feature.name: _type_name(feature.type, feature.vector_length) for feature in group.features}
    for rows in batched(source, _BATCH_ROWS):
        given = _names(rows)
        unknown = sorted(set(given) - {*kinds, time_column})
        if unknown:
            raise typer.BadParameter(f"{group.name} has no {', '.join(unknown)}", param_hint="FILE")
        present = [column for column in kinds if column in given]
        columns = {column: converted(column, [row.get(column) for row in rows], kinds[column]) for column in present}
        timed = time_column in given
        times = [instant(time_column, str(row.get(time_column, ""))) for row in rows] if timed else None
        yield FeatureRows(group=group, columns=columns, event_times=times, backfill=backfill)


def _names(rows: Iterable[dict[str, Any]]) -> list[str]:
    """The columns that any of `rows` has: what one leaves out is null there, not everywhere."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _sla(warn_after: str, error_after: str) -> Any:
    if not (warn_after or error_after):
        return None
    from synapsenet_client import freshness_sla

    return freshness_sla(
        warn_after=seconds("--warn-after", warn_after) if warn_after else None,
        error_after=seconds("--error-after", error_after) if error_after else None,
    )


def _type_name(kind: int, vector_length: int = 0) -> str:
    from synapsenet_api.features.v1.value_pb2 import ValueType
    from synapsenet_client import enum_name

    name = enum_name(ValueType, kind)
    return f"{name}[{vector_length}]" if vector_length else name


def _picker(header: str) -> Any:
    return lambda row: row.get(header)
