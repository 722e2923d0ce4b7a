"""Logs: the one place that configures them, as text for people or as JSON lines for machines, secrets taken out."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from synapsenet_servers.telemetry.options import TelemetryOptions

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# The ids of the trace and the span that are current, in hexadecimal; None outside of any.
Ids = Callable[[], tuple[str, str] | None]

_ErrorInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

# What is between the groups is kept, what is after them is the secret.
_SECRETS = (
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)(?=\S*[0-9])[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?i)(\b\w*(?:password|passwd|secret|token|api_?key)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]{3,}"),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)"),
)
_HIDDEN = r"\1***"


def configure_logs(options: TelemetryOptions, *, service: str, instance: str = "", ids: Ids | None = None) -> None:
    """Have this process log to stderr, in the form that the options say; what was configured before goes.

    Args:
        service: the name under which the process logs.
        instance: tells it from others of that name; may be empty.
        ids: of the current trace.
    """
    handler = logging.StreamHandler(sys.stderr)
    if options.log_format == "json":
        handler.setFormatter(JsonLines(service=service, instance=instance, ids=ids or _no_ids))
    else:
        handler.setFormatter(PlainLines(TEXT))
    logging.basicConfig(level=options.log_level.upper(), handlers=[handler], force=True)


def without_secrets(text: str) -> str:
    """`text` with tokens, passwords and what is named like them replaced by `***`."""
    for secret in _SECRETS:
        text = secret.sub(_HIDDEN, text)
    return text


class PlainLines(logging.Formatter):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, service, and where there are some trace_id, span_id, error.

    `time` is RFC 3339 in UTC with microseconds; `error` has type, message and stack.
    """

    def __init__(self, *, service: str, instance: str, ids: Ids) -> None:
        super().__init__()
        self._fixed = {"service": service} | ({"instance": instance} if instance else {})
        self._ids = ids

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            **self._fixed,
        }
        if (ids := self._ids()) is not None:
            line["trace_id"], line["span_id"] = ids
        if record.exc_info:
            line["error"] = _error(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _error(info: _ErrorInfo) -> dict[str, str]:
    kind, error, _ = info
    if kind is None:
        return {}
    return {
        "type": kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}",
        "message": without_secrets(str(error)),
        "stack": without_secrets("".join(traceback.format_exception(*info))),
    }


def _no_ids() -> None:
    return None
