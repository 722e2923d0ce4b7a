"""The logs of child processes: in the same form as their parent's, which it tells them by their environment."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from types import TracebackType

from synapsenet_servers.telemetry.logs import configure_logs
from synapsenet_servers.telemetry.options import TelemetryOptions

FORMAT_VARIABLE = "SYNAPSENET_TELEMETRY__LOG_FORMAT"
LEVEL_VARIABLE = "SYNAPSENET_TELEMETRY__LOG_LEVEL"


def log_variables(options: TelemetryOptions) -> Mapping[str, str]:
    """What a child needs in its environment to log as this process does."""
    return {FORMAT_VARIABLE: options.log_format, LEVEL_VARIABLE: options.log_level}


def configure_child_logs(service: str) -> None:
    """Have this process log as its parent told it, its last words included."""
    plain = TelemetryOptions()
    options = TelemetryOptions(
        log_format=os.environ.get(FORMAT_VARIABLE, plain.log_format),
        log_level=os.environ.get(LEVEL_VARIABLE, plain.log_level),
    )
    configure_logs(options, service=service, instance=str(os.getpid()))
    sys.excepthook = _tell_last_words


def _tell_last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("synapsenet_servers").critical("the process ends by an error of its own", exc_info=(kind, error, trace))
