"""Write docs/configuration.md: every key that an operator can set, read from the options' own docstrings.

`--check` writes nothing and exits 1 if the page is not what the source gives.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from typing import Any

from synapsenet_servers.config import PREFIX, Config
from tools.house import ROOT

PAGE = ROOT / "docs" / "configuration.md"
ATTRIBUTE = re.compile(r"^ {8}(\w+(?:, \w+)*): (.*)$")

HEADER = f"""\
# Configuration

<!-- Written by tools/configuration_page.py from the source; `make proto` writes it anew. -->

Defaults < TOML file (`--config FILE`) < environment < flags. The key `rows_per_batch` of the section `features` is

```toml
[features]
rows_per_batch = 20000
```

and `{PREFIX}FEATURES__ROWS_PER_BATCH=20000` in the environment. A key that nobody knows is refused, with the nearest known one.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its dotted path below the section, its default and what it means."""

    path: str
    default: Any
    meaning: str


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="compare only; exit 1 if the page is stale")
    check = arguments.parse_args().check
    page = render()
    if not check:
        PAGE.write_text(page, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        print("docs/configuration.md is stale: run `make proto` and commit", file=sys.stderr)
        return 1
    return 0


def render() -> str:
    """The whole page."""
    parts = [HEADER]
    for section, info in Config.model_fields.items():
        options = info.get_default(call_default_factory=True)
        parts.append(f"\n## {section}\n\n{summary(options)}\n\n| key | default | meaning |\n|---|---|---|\n")
        parts.extend(f"| `{key.path}` | `{key.default}` | {key.meaning} |\n" for key in keys(options))
    return "".join(parts)


def keys(options: Any, above: str = "") -> Iterator[Key]:
    """The keys of `options` and of the options in it.

    Raises:
        SystemExit: a key has no meaning in its class's docstring.
    """
    meanings = attributes(type(options))
    for field in fields(options):
        value = getattr(options, field.name)
        path = f"{above}{field.name}"
        if is_dataclass(value):
            yield from keys(value, f"{path}.")
        elif field.name not in meanings:
            raise SystemExit(f"{type(options).__name__}.{field.name}: say in the docstring's Attributes what it means")
        else:
            yield Key(path, shown(value), meanings[field.name])


def attributes(kind: type) -> dict[str, str]:
    """What the `Attributes:` section of a docstring says of each name."""
    found: dict[str, str] = {}
    names: list[str] = []
    _, _, section = (kind.__doc__ or "").partition("Attributes:\n")
    for line in section.splitlines():
        if match := ATTRIBUTE.match(line):
            names = match[1].split(", ")
            found |= dict.fromkeys(names, match[2])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: text.replace("|", "\\|") for name, text in found.items()}


def summary(options: Any) -> str:
    return inspect.getdoc(type(options)).partition("\n")[0]  # type: ignore[union-attr]  # keys() refuses what has no docstring


def shown(value: Any) -> str:
    """A default as TOML would write it."""
    if isinstance(value, timedelta):
        return json.dumps(value.total_seconds())
    return json.dumps(list(value) if isinstance(value, tuple) else value, default=dict)


if __name__ == "__main__":
    sys.exit(main())
