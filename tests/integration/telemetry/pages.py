"""Pages for Prometheus: read, and taken apart."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

_TOLD = "metrics are at "


def read_page(url: str) -> str:
    """The page at `url`."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def page_of(log: Path) -> str:
    """The address that a process which logs JSON lines on `log` gave its page."""
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines() if line.startswith("{")]
    return str(next(message for message in messages if message.startswith(_TOLD))).removeprefix(_TOLD)


def sample_names(page: str) -> set[str]:
    """The names of all samples on a page, as queries spell them."""
    return {sample.name for family in text_string_to_metric_families(page) for sample in family.samples}


def samples(page: str, name: str) -> dict[str, float]:
    """The samples called `name`, by the values of their labels in the order of the labels' names, joined by commas."""
    found = [sample for family in text_string_to_metric_families(page) for sample in family.samples if sample.name == name]
    return {",".join(sample.labels[label] for label in sorted(sample.labels)): sample.value for sample in found}
