"""The lock file installs everywhere, with plain pip, and installs the same everywhere."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.house import ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^ ;]+)", LOCK, re.MULTILINE)}


def wished(*extras: str) -> Iterator[Requirement]:
    for text in [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]:
        yield Requirement(text)


def test_the_lock_pins_what_the_project_asks_for() -> None:
    for requirement in wished("server", "cluster", "dev"):
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("python", ["3.11.2", "3.11.99"])
def test_the_lock_is_whole_on_every_python_3_11(python: str) -> None:
    """Hash mode refuses what is required and not pinned, and what is required may depend on the patch release."""
    environment = {"python_full_version": python, "extra": ""}
    missing = {
        f"{name} wants {wish}"
        for name in PINS
        for wish in map(Requirement, metadata.requires(name) or ())
        if (wish.marker is None or wish.marker.evaluate(environment)) and canonicalize_name(wish.name) not in PINS
    }

    assert missing == set()


def test_every_pin_carries_hashes() -> None:
    entries = re.split(r"^(?=\w)", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) == len(PINS)
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_names_no_index_and_no_machine() -> None:
    assert re.findall(r"://|--(?:extra-)?index-url|--find-links|--trusted-host|^-c|/tmp", LOCK, re.MULTILINE) == []


def test_torch_and_ray_stay_extras() -> None:
    assert not {"torch", "ray"} & PINS.keys()
    assert PROJECT["optional-dependencies"]["torch"] == ["torch==2.13.0"]


def test_the_light_install_is_grpc_protobuf_and_the_terminal() -> None:
    assert {requirement.name for requirement in wished()} == {
        "googleapis-common-protos",
        "grpcio",
        "grpcio-status",
        "protobuf",
        "rich",
        "typer",
    }
