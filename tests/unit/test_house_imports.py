"""Every import contract of the house refuses the import that it is there to refuse.

The contracts of pyproject.toml are run over a skeleton of the house: its real modules, emptied, with one forbidden import
planted for each row below.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.house import ROOT

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
PACKAGE_ROOTS = {"synapsenet": "", "synapsenet_servers": "servers", "synapsenet_api": "clients"}
PACKAGE_ROOTS |= {"synapsenet_client": "clients", "synapsenet_cli": "clients"}


@dataclass(frozen=True, slots=True)
class Planted:
    """An import that the contract must refuse."""

    contract: str
    importer: str
    imported: str


PLANTED = (
    Planted("house", "synapsenet.features.planted", "synapsenet.training"),
    Planted("house", "synapsenet.platform.planted", "synapsenet.models"),
    Planted("house", "synapsenet.registry.planted", "synapsenet.adapters"),
    Planted("house", "synapsenet.clock", "synapsenet.platform"),
    Planted("area", "synapsenet.features.model", "synapsenet.features.ports"),
    Planted("area", "synapsenet.experiments.ports", "synapsenet.experiments.service"),
    Planted("service", "synapsenet.inference.planted", "synapsenet.inference.service"),
    Planted("domain", "synapsenet.training.planted", "grpc"),
    Planted("domain", "synapsenet.features.planted_wire", "synapsenet_api.features"),
    Planted("domain", "synapsenet.models.planted", "google"),
    Planted("domain", "synapsenet.registry.planted_sql", "sqlalchemy"),
    Planted("adapters", "synapsenet_servers.servicers.planted", "synapsenet.adapters"),
    Planted("adapters", "synapsenet_servers.peers.planted", "synapsenet.adapters.sql"),
    Planted("lifecycle", "synapsenet_servers.peers.planted_coordinator", "synapsenet.lifecycle"),
    Planted("lifecycle", "synapsenet_servers.servicers.planted_table", "synapsenet.lifecycle.table"),
    Planted("testing", "synapsenet_servers.bootstrap.planted", "synapsenet.testing"),
    Planted("servers-above", "synapsenet.adapters.planted", "synapsenet_servers.translate"),
    Planted("servers", "synapsenet_servers.translate.planted", "synapsenet_servers.servicers"),
    Planted("servers", "synapsenet_servers.servicers.planted_peer", "synapsenet_servers.peers"),
    Planted("sdk", "synapsenet_servers.peers.planted_sdk", "synapsenet_client"),
    Planted("clients", "synapsenet_client.planted", "synapsenet_cli"),
    Planted("clients", "synapsenet_api.planted", "synapsenet_client"),
    Planted("light", "synapsenet_cli.planted", "synapsenet.errors"),
    Planted("light", "synapsenet_client.planted_platform", "synapsenet_servers"),
)


class House:
    """A copy of the house whose modules are there and empty."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for package, folder in PACKAGE_ROOTS.items():
            for source in (ROOT / folder / package).rglob("*.py"):
                self.write(source.relative_to(ROOT), "")
            self.write(Path(folder, package, "__init__.py"), "")
        for area in areas():
            for layer in ("service", "ports", "model"):
                self.plant(f"synapsenet.{area}.{layer}", "")

    def write(self, path: Path, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def plant(self, module: str, text: str) -> None:
        package, *rest = module.split(".")
        self.write(Path(PACKAGE_ROOTS[package], package, *rest).with_suffix(".py"), text)

    def judge(self) -> subprocess.CompletedProcess[str]:
        """lint-imports over the copy, by the real contracts."""
        path = os.pathsep.join(str(self.root / folder) for folder in ("", "servers", "clients"))
        return subprocess.run(
            [Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo", "--config", ROOT / "pyproject.toml"],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": path, "COLUMNS": "400", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )


def areas() -> list[str]:
    """The areas of the domain that stand today."""
    apart = {"adapters", "testing", "platform"}
    return sorted(path.parent.name for path in ROOT.glob("synapsenet/*/__init__.py") if path.parent.name not in apart)


def verdict(output: str, contract: str) -> str:
    """What lint-imports has to say of one broken contract."""
    name = next(each["name"] for each in CONTRACTS if each["id"] == contract)
    _, _, broken = output.partition("Broken contracts")
    return broken.partition(f"\n{name}\n---")[2].partition("\n---")[0]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What lint-imports says of the house with everything planted."""
    house = House(tmp_path_factory.mktemp("house"))
    for planted in PLANTED:
        house.plant(planted.importer, f"import {planted.imported}\n")
    result = house.judge()
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: f"{planted.contract}: {planted.importer}")
def test_a_planted_import_is_refused_by_its_contract(judged: str, planted: Planted) -> None:
    assert f"{planted.importer} -> {planted.imported} (l.1)" in verdict(judged, planted.contract)


def test_every_contract_has_something_planted_against_it() -> None:
    assert {planted.contract for planted in PLANTED} == {contract["id"] for contract in CONTRACTS}


def test_a_house_without_plants_keeps_every_contract_and_a_stranger_in_the_domain_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path)
    kept = house.judge()
    house.plant("synapsenet.stranger", "")
    refused = house.judge()

    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in kept.stdout, kept.stdout + kept.stderr
    assert "- synapsenet.stranger" in verdict(refused.stdout, "house")


def test_the_domain_contract_names_every_area() -> None:
    sources = next(contract["source_modules"] for contract in CONTRACTS if contract["id"] == "domain")

    assert {f"synapsenet.{area}" for area in areas()} <= set(sources)
