"""`pip install .` gives a working SDK and CLI on gRPC, protobuf and the terminal's libraries alone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.house import ROOT


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the standard library and `site`, nothing else."""
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        cwd=site,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "PYTHONWARNINGS": "error", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def needed(wishes: list[str]) -> set[str]:
    """The names of the distributions that pip would install for `wishes`, without any extra."""
    names: set[str] = set()
    pending = [Requirement(wish) for wish in wishes]
    while pending:
        wish = pending.pop()
        if wish.name not in names and (wish.marker is None or wish.marker.evaluate({"extra": ""})):
            names.add(wish.name)
            pending += [Requirement(each) for each in metadata.requires(wish.name) or ()]
    return names


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site-packages as the light install leaves it: our wheel, unpacked, and what it requires, linked."""
    built = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", built],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=90,
    )
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    (own,) = metadata.distributions(path=[str(site)])
    for name in needed(own.requires or []):
        for file in metadata.files(name) or ():
            target = site / file
            if ".." not in file.parts and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(Path(str(file.locate())).resolve())
    return site


def test_the_wheel_carries_what_is_not_python(site: Path) -> None:
    for name in ("synapsenet_api/api.binpb", "synapsenet_api/py.typed", "synapsenet/adapters/sql/migrations"):
        assert (site / name).exists(), name


def test_the_light_install_brings_no_library_of_the_platform(site: Path) -> None:
    brought = {path.name for path in site.iterdir()}

    assert {"grpc", "google", "typer", "rich"} <= brought
    assert not {"numpy", "scipy", "sqlalchemy", "onnxruntime", "msgspec", "duckdb"} & brought


def test_the_sdk_imports(site: Path) -> None:
    result = run(site, "-c", "import synapsenet_client; assert synapsenet_client.connect")

    assert result.returncode == 0, result.stderr


def test_the_cli_tells_its_commands(site: Path) -> None:
    result = run(site, "-m", "synapsenet_cli.main", "--help")

    assert result.returncode == 0, result.stderr
    assert "experiments" in result.stdout


def test_a_command_of_the_platform_tells_what_to_install(site: Path) -> None:
    result = run(site, "-m", "synapsenet_cli.main", "dev")

    assert result.returncode == 1
    assert "synapsenet[server]" in result.stderr
    assert "Traceback" not in result.stderr
