"""`synapsenet backup` beside a running platform, and `synapsenet restore` into an empty folder."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from synapsenet_client import Client
from tests.live import LivePlatform


def synapsenet(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synapsenet_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_areas_are_backed_up_while_the_platform_runs_and_restored_elsewhere(
    platform: LivePlatform, client: Client, tmp_path: Path
) -> None:
    client.models.create("backed-up", description="kept")
    folder, elsewhere = tmp_path / "backups", tmp_path / "elsewhere"
    saved = synapsenet("backup", "models", "registry", "--data-dir", str(platform.data), "--to", str(folder))
    assert saved.returncode == 0, saved.stderr
    assert "newest event" in saved.stdout
    assert "copy them" in saved.stderr
    files = sorted(str(file) for file in folder.iterdir())
    assert [Path(file).name for file in files] == ["models.backup", "registry.backup"]
    client.models.create("after-the-backup")

    restored = synapsenet("restore", *files, "--data-dir", str(elsewhere))
    assert restored.returncode == 0, restored.stderr
    with closing(sqlite3.connect(elsewhere / "models" / "models.sqlite")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM models")}
    assert "backed-up" in names
    assert "after-the-backup" not in names

    again = synapsenet("restore", *files, "--data-dir", str(elsewhere))
    assert again.returncode == 1
    assert "[RESTORE_NOT_EMPTY]" in again.stderr
    over = synapsenet("restore", *files, "--data-dir", str(platform.data))
    assert "[DATA_IN_USE]" in over.stderr
