"""Configuration: who wins over whom, and what is said of a key that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from synapsenet.errors import InvalidArgument
from synapsenet_servers.config import load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "synapsenet.toml"
    path.write_text("[features]\nrows_per_batch = 2\nspine_rows = 2\n[features.online]\nscan_rows = 2\n")
    return path


def refusal(path: Path | None = None, **flags: object) -> str:
    with pytest.raises(InvalidArgument) as refused:
        load(path, flags)
    assert refused.value.reason == "CONFIG_INVALID"
    return refused.value.public


def test_flags_win_over_the_environment_the_environment_over_the_file_and_the_file_over_defaults(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNAPSENET_FEATURES__SPINE_ROWS", "3")
    monkeypatch.setenv("SYNAPSENET_FEATURES__VALUES_PER_READ", "3")
    features = load(file, {"features": {"values_per_read": 4}}).features
    assert (features.rows_per_batch, features.spine_rows, features.values_per_read) == (2, 3, 4)
    assert features.online.scan_rows == 2
    assert features.online.map_bytes == load().features.online.map_bytes


def test_a_misspelt_key_of_the_file_is_refused_with_the_nearest_known_one(file: Path) -> None:
    file.write_text("[features.online]\nscan_row = 1\n")
    assert refusal(file) == "features.online.scan_row: unknown key: did you mean features.online.scan_rows?"


def test_a_misspelt_section_is_refused(file: Path) -> None:
    file.write_text("[featurs]\nspine_rows = 1\n")
    assert "featurs: unknown key: did you mean features?" in refusal(file)


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSENET_FEATURES__SPINE_ROW", "1")
    assert refusal() == ("SYNAPSENET_FEATURES__SPINE_ROW: unknown variable: did you mean SYNAPSENET_FEATURES__SPINE_ROWS?")


def test_the_variables_of_the_sdk_are_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSENET_TARGET", "localhost:7400")
    assert load().features.rows_per_batch > 0


def test_a_value_of_the_wrong_type_is_named_with_its_key() -> None:
    assert refusal(training={"concurrent_jobs": "many"}).startswith("training.concurrent_jobs = 'many': ")


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    assert "missing.toml cannot be read (No such file or directory)" in refusal(tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[features\n")
    assert "broken.toml is no TOML file" in refusal(broken)
