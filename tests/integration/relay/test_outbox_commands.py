"""`synapsenet outbox`: what relays parked is shown, tried again and given up from the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from synapsenet.adapters.sql.models import SqlModelsWork, metadata
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.relay import SqlRelayLog
from synapsenet.clock import SystemClock
from synapsenet.platform.relay_log import ParkedEvent
from synapsenet.testing.clock import NOON
from synapsenet.testing.relay_log import ALONE
from synapsenet_servers.commands.outbox import app
from tests.contract.databases import schema_records
from tests.postgres_server import postgres_server

AREA = "models"


def parked(number: int, aggregate: str, reason: str) -> ParkedEvent:
    return ParkedEvent(event_id=f"event-{number}", aggregate=aggregate, position=number, reason=reason, parked_at=NOON)


async def park(options: PostgresOptions, folder: Path) -> None:
    """Two refused events of the area `models`, one waiting behind the first."""
    records = schema_records(options, folder)
    async with records(AREA, metadata=metadata, unit=SqlModelsWork, clock=SystemClock()) as work:
        log = SqlRelayLog(work.database, work.tables, work.feed)
        await log.claim(ALONE, 1)
        rows = [parked(1, "model/a", "MSG_SIZE_TOO_LARGE"), parked(2, "model/a", ""), parked(3, "model/b", "INVALID_RECORD")]
        await log.settle(ALONE, 1, position=3, parked=rows)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("outbox")
    with postgres_server() as postgres:
        asyncio.run(park(PostgresOptions(url=postgres.url), folder))
        file = folder / "cluster.toml"
        file.write_text(f'[postgres]\nurl = "{postgres.url}"\n')
        yield file


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)])


def test_what_was_refused_is_shown_retried_and_skipped(config: Path) -> None:
    shown = run(config, "parked").stdout.splitlines()
    assert shown == [
        "models  event-1  model/a  MSG_SIZE_TOO_LARGE  since 2026-01-01 12:00:00Z",
        "models  event-3  model/b  INVALID_RECORD  since 2026-01-01 12:00:00Z",
        "models  1 more wait behind refused ones",
    ]
    answer = json.loads(run(config, "parked", "--area", AREA, "--json").stdout)
    assert [one["event_id"] for one in answer[AREA]["refused"]] == ["event-1", "event-3"]
    assert answer[AREA]["behind"] == 1

    assert run(config, "retry", "event-1", "--area", AREA).stdout == "models  1 to be tried again\n"
    assert run(config, "skip", "event-3", "--area", AREA).stdout == "models  event-3 is skipped\n"
    assert run(config, "parked").stdout.splitlines() == ["models  2 more wait behind refused ones"]


def test_what_cannot_be_is_refused_in_one_sentence(config: Path) -> None:
    unknown = run(config, "skip", "event-9", "--area", AREA)
    assert (unknown.exit_code, "no refused event event-9 in the outbox of models" in unknown.stderr) == (1, True)
    nowhere = run(config, "parked", "--area", "nothing")
    assert (nowhere.exit_code, "there is no outbox of 'nothing'" in nowhere.stderr) == (1, True)
    assert run(config, "retry", "--area", AREA).exit_code == 2
    assert run(config, "retry", "event-1", "--all", "--area", AREA).exit_code == 2


def test_an_area_that_was_never_started_has_nothing_parked(config: Path) -> None:
    assert run(config, "parked", "--area", "training").stdout == "nothing is parked\n"
