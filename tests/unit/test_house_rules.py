"""The house rules hold for the source, and each of them catches what it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from tools import house
from tools.house import ROOT, Breach, Source

WORDS = '"""Owns something."""\n'
ALL_SOURCES = tuple(house.sources(ROOT))

# Taken apart, or this file would be a breach itself.
NOTE = "TO" + "DO"
MACHINE = "/" + "root/data"
REGISTRY = "files.python" + "hosted.org"


def test_the_house_finds_its_own_sources() -> None:
    assert {"tools/house.py", "synapsenet/errors.py", "Makefile"} <= {source.path for source in ALL_SOURCES}
    assert not [source.path for source in ALL_SOURCES if source.path.startswith("clients/synapsenet_api/")]


@pytest.fixture(scope="module")
def breaches() -> Mapping[str, list[str]]:
    """Of each rule, by its name; every source is parsed once for all of them."""
    found: dict[str, list[str]] = {rule.__name__: [] for rule in house.RULES}
    for source in ALL_SOURCES:
        for rule in house.RULES:
            found[rule.__name__] += map(str, rule(source))
    return found


@pytest.mark.parametrize("rule", house.RULES, ids=lambda rule: rule.__name__)
def test_every_source_keeps_the_rule(rule: Callable[[Source], Iterator[Breach]], breaches: Mapping[str, Sequence[str]]) -> None:
    assert breaches[rule.__name__] == []


@pytest.mark.parametrize(
    ("rule", "path", "text", "sentence"),
    [
        (house.long_files, "synapsenet/a.py", WORDS * 401, "401 lines, 400 at most"),
        (house.long_functions, "synapsenet/a.py", WORDS + "def work():\n" + "    x = 1\n" * 60, "work has 61 lines, 60"),
        (house.long_functions, "tests/a.py", WORDS + "class A:\n  async def b(self):\n" + "    x = 1\n" * 60, "b has 61 lines"),
        (house.vague_names, "synapsenet/features/utils.py", WORDS, "a module called utils owns nothing"),
        (house.vague_names, "servers/synapsenet_servers/common/grpc.py", WORDS, "a module called common owns nothing"),
        (house.vague_names, "synapsenet/features/row_helpers.py", WORDS, "a module called row_helpers owns nothing"),
        (house.missing_words, "synapsenet/a.py", "x = 1\n", "no module docstring"),
        (house.forbidden_text, "Makefile", f"# {NOTE} later", NOTE),
        (house.forbidden_text, "docs/page.md", f"look into {MACHINE}", "a path of one machine"),
        (house.forbidden_text, "requirements.txt", f"https://{REGISTRY}/", "the host of a package registry"),
        (house.foreign_imports, "synapsenet/features/model.py", "import pyarrow.parquet", "the domain imports pyarrow.parquet"),
        (house.foreign_imports, "synapsenet/training/model.py", "from lark import Lark", "the domain imports lark"),
        (house.foreign_imports, "synapsenet/clock.py", "import msgspec", "the domain imports msgspec"),
    ],
)
def test_a_planted_breach_is_named(rule: Callable[[Source], Iterator[Breach]], path: str, text: str, sentence: str) -> None:
    found = list(rule(Source(path, text)))

    assert len(found) == 1
    assert sentence in found[0].sentence
    assert found[0].path == path


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (house.long_files, "synapsenet/a.py", WORDS * 400),
        (house.long_files, "docs/a.md", "line\n" * 401),
        (house.long_functions, "synapsenet/a.py", WORDS + "def work():\n" + "    x = 1\n" * 59),
        (house.vague_names, "synapsenet/features/database.py", WORDS),
        (house.missing_words, "tests/unit/__init__.py", ""),
        (house.forbidden_text, "docs/http.md", "GET /features/home/rooms and ./.venv/root/x"),
        (house.foreign_imports, "synapsenet/experiments/filtering.py", "import lark, numpy as np\nfrom scipy import stats"),
        (house.foreign_imports, "synapsenet/platform/records.py", "import json\nimport msgspec"),
        (house.foreign_imports, "synapsenet/adapters/duckdb.py", "import duckdb"),
        (house.foreign_imports, "tests/unit/test_a.py", "import pytest"),
    ],
)
def test_what_is_allowed_is_left_alone(rule: Callable[[Source], Iterator[Breach]], path: str, text: str) -> None:
    assert list(rule(Source(path, text))) == []
