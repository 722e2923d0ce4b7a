"""The documents are true where a machine can tell: links lead somewhere, and every contract suite is in the table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEST = re.compile(r"`((?:unit|contract|integration|chaos|performance)/[\w/]+\.py)(?:::(\w+))?`")
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_reached_from_the_readme_or_from_a_page_that_is() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            waiting += [(page.parent / link).resolve() for link in LINK.findall(page.read_text(encoding="utf-8"))]
    assert {page.name for page in set(PAGES) - reached} == set()


def test_every_contract_suite_stands_in_the_table_of_the_architecture() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = (ROOT / "synapsenet" / "testing").glob("*.py")
    suites = [path for path in modules if "Contract:" in path.read_text(encoding="utf-8")]
    assert len(suites) > 10
    assert [path.name for path in suites if f"`testing/{path.name}`" not in table] == []


def test_every_test_that_the_acceptance_page_names_is_there() -> None:
    named = TEST.findall((ROOT / "docs" / "acceptance.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    missing = [
        (path, name)
        for path, name in named
        if not (file := ROOT / "tests" / path).is_file() or f"def {name}" not in file.read_text(encoding="utf-8")
    ]
    assert missing == []
