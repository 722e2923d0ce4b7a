"""`synapsenet dev` on a wrong configuration or damaged files: it says which, does not start, and touches nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from synapsenet.errors import SynapseError
from synapsenet_client import connect
from synapsenet_servers.config import load
from synapsenet_servers.dev import DevOptions, started
from tests.live import CLI, live_platform

GARBAGE = b"no database at all " * 500


def refused(data: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    """What the command says when it refuses to start: one line."""
    command = [*CLI, "dev", "--port", "0", "--http-port", "0", "--data-dir", str(data), *arguments]
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=environment)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


async def refusal(data: Path) -> SynapseError:
    """The error behind such a line, without the seconds that a process takes to begin."""
    with pytest.raises(SynapseError) as raised:
        async with started(DevOptions(port=0, http_port=0, data=data)):
            pass
    return raised.value


CONFIGURATIONS = {
    "an unknown key": ("[features]\nrows_per_bach = 5\n", "features.rows_per_bach: unknown key: "),
    "an unknown section": ("[feature]\nx = 5\n", "feature: unknown key: did you mean features?"),
    "a wrong type": ("[server]\ndrain_s = 'long'\n", "server.drain_s = 'long'"),
    "no TOML": ("[features\n", "is no TOML file"),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_configuration_that_is_wrong_is_refused_by_its_key(case: str, tmp_path: Path) -> None:
    text, words = CONFIGURATIONS[case]
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(SynapseError) as raised:
        load(tmp_path / "wrong.toml")
    assert raised.value.reason == "CONFIG_INVALID"
    assert words in raised.value.public


def test_the_command_refuses_an_unknown_key_and_a_misspelt_variable_and_makes_no_folder(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("[server]\ndrains = 1\n")
    said = refused(tmp_path / "data", "--config", str(tmp_path / "wrong.toml"))
    assert "server.drains: unknown key: did you mean server.drain_s? [CONFIG_INVALID]" in said
    said = refused(tmp_path / "data", env={"SYNAPSENET_SERVER__DRAINS": "1"})
    assert "SYNAPSENET_SERVER__DRAINS: unknown variable: did you mean SYNAPSENET_SERVER__DRAIN_S?" in said
    assert not (tmp_path / "data").exists()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a model in it, and no platform on it."""
    data = tmp_path_factory.mktemp("kept")
    with live_platform(data) as platform, connect(platform.grpc) as client:
        client.models.create("kept")
    return data


async def test_a_damaged_file_of_any_area_is_refused_by_name_and_left_as_it_is(kept: Path, tmp_path: Path) -> None:
    files = [path.relative_to(kept) for path in (*kept.rglob("*.sqlite"), *kept.rglob("data.mdb"))]
    assert {file.parts[0] for file in files} >= {"experiments", "features", "inference", "models", "registry", "training"}
    for file in files:
        data = tmp_path / file.stem
        shutil.copytree(kept, data, symlinks=True)
        (data / file).write_bytes(GARBAGE)
        error = await refusal(data)
        assert error.reason in ("DATABASE_CORRUPT", "ONLINE_STORE_CORRUPT")
        named = file.name if file.suffix == ".sqlite" else "the online feature store in features/online"
        assert f"{named} is damaged or no" in error.public
        assert "restore it from a backup, or move it away to start empty" in error.public
        assert (data / file).read_bytes() == GARBAGE


def test_a_damaged_file_moved_away_costs_the_other_areas_nothing(kept: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(kept, data, symlinks=True)
    database = data / "experiments" / "experiments.sqlite"
    database.write_bytes(GARBAGE)
    assert "experiments.sqlite is damaged" in refused(data)
    database.rename(tmp_path / "away")
    with live_platform(data) as platform, connect(platform.grpc) as client:
        assert [model.name for model in client.models.list()] == ["kept"]
        assert list(client.experiments.list()) == []


async def test_a_file_where_a_folder_must_be_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    error = await refusal(tmp_path)
    assert error.reason == "DATA_NOT_WRITABLE"
    assert str(tmp_path / "models") in error.public
    assert (tmp_path / "models").read_text() == "in the way"
