"""Log lines: JSON for machines with the trace's ids, text for people, secrets in neither."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from synapsenet_servers.telemetry.logs import TEXT, JsonLines, PlainLines, without_secrets

IDS = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def record(message: str, *arguments: object, exc_info: Any = None) -> logging.LogRecord:
    made = logging.LogRecord("synapsenet.test", logging.WARNING, __file__, 1, message, arguments, exc_info)
    made.created = 1_800_000_000.25
    return made


def as_json(made: logging.LogRecord, ids: tuple[str, str] | None = None) -> dict[str, Any]:
    text = JsonLines(service="models", instance="host:1", ids=lambda: ids).format(made)
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


def test_a_line_says_when_what_and_who() -> None:
    assert as_json(record("%d events\nwait", 3)) == {
        "time": "2027-01-15T08:00:00.250000Z",
        "level": "warning",
        "logger": "synapsenet.test",
        "message": "3 events\nwait",
        "service": "models",
        "instance": "host:1",
    }


def test_inside_a_trace_a_line_carries_its_ids() -> None:
    line = as_json(record("here"), IDS)
    assert (line["trace_id"], line["span_id"]) == IDS


def failed() -> Any:
    try:
        raise ValueError("password=hunter22 is wrong")
    except ValueError:
        return sys.exc_info()


def test_an_error_is_told_with_its_type_its_words_and_its_stack() -> None:
    line = as_json(record("no", exc_info=failed()))
    error = line["error"]
    assert error["type"] == "ValueError"
    assert error["message"] == "password=*** is wrong"
    assert "Traceback" in error["stack"]
    assert "hunter22" not in json.dumps(line)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("authorization: Bearer eyJhbGciOi.J9-x", "authorization: Bearer ***"),
        ("connect to postgresql+psycopg://own:pa55w0rd@db:5432/x", "connect to postgresql+psycopg://own:***@db:5432/x"),
        ("etcd_password = 'rosebud'", "etcd_password = '***'"),
        ('{"api_key": "k-123456"}', '{"api_key": "***"}'),
        ("bearer tokens are kept hashed", "bearer tokens are kept hashed"),
        ("a token of 7 days", "a token of 7 days"),
        ("http://127.0.0.1:7480/models", "http://127.0.0.1:7480/models"),
        ("lock at 10:30 by me@host", "lock at 10:30 by me@host"),
    ],
)
def test_secrets_are_taken_out_and_nothing_else(said: str, kept: str) -> None:
    assert without_secrets(said) == kept
    assert PlainLines(TEXT).format(record(said)).endswith(kept)
    assert as_json(record(said))["message"] == kept
