"""Exit codes tell the classes of errors apart, and the documented table is the one in force."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import synapsenet_client
from synapsenet_cli import exits
from synapsenet_client import SynapseNetError

DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"


def classes(root: type[SynapseNetError]) -> set[type[SynapseNetError]]:
    return {root} | {kind for child in root.__subclasses__() for kind in classes(child)}


def test_every_class_of_the_sdk_has_a_code_of_its_own() -> None:
    assert {kind.__name__ for kind in classes(SynapseNetError)} - {"SynapseNetError"} == set(exits.BY_ERROR)
    codes = [exits.OK, exits.FAILED, exits.USAGE, exits.INTERRUPTED, *exits.BY_ERROR.values()]
    assert len(codes) == len(set(codes))
    assert all(0 <= code < 256 for code in codes)


@pytest.mark.parametrize("name", sorted(exits.BY_ERROR))
def test_an_error_ends_with_the_code_of_its_class(name: str) -> None:
    assert exits.exit_code(getattr(synapsenet_client, name)("a sentence")) == exits.BY_ERROR[name]


def test_what_is_no_error_of_the_platform_is_a_plain_failure() -> None:
    assert exits.exit_code(SynapseNetError("from the future")) == exits.FAILED
    assert exits.exit_code(OSError("disk")) == exits.FAILED


def test_the_documented_table_is_the_one_in_force() -> None:
    documented = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| `(\w+)` ", DOCUMENT.read_text(), re.MULTILINE)}
    assert documented == exits.BY_ERROR
