"""`synapsenet backup` beside a running platform, and `synapsenet restore` into an empty folder."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest

from synapsenet_client import Client, NotFound, connect
from tests.backed_up import Writer, check, fill, history_of, synapsenet
from tests.live import LivePlatform, live_platform


@pytest.mark.timeout(180)
def test_a_platform_that_is_backed_up_under_writes_goes_on_elsewhere(
    platform: LivePlatform, client: Client, tmp_path: Path
) -> None:
    known = fill(client)
    folder, elsewhere = tmp_path / "backups", tmp_path / "elsewhere"
    with Writer(platform.grpc) as writer:
        acknowledged = writer.acknowledged
        saved = synapsenet("backup", "--data-dir", str(platform.data), "--to", str(folder))
    assert saved.returncode == 0, saved.stderr
    assert "newest event" in saved.stdout
    assert writer.acknowledged > acknowledged
    files = sorted(str(file) for file in folder.iterdir())
    assert {"coordination", "features", "models", "registry", "training"} <= {Path(file).stem for file in files}
    client.models.create("after-the-backup")

    restored = synapsenet("restore", *files, "--data-dir", str(elsewhere))
    assert restored.returncode == 0, restored.stderr
    assert history_of(elsewhere)
    with live_platform(elsewhere) as second, connect(second.grpc) as connected:
        check(connected, known, acknowledged=acknowledged, most=writer.acknowledged)
        with pytest.raises(NotFound):
            connected.models.get("after-the-backup")

    again = synapsenet("restore", *files, "--data-dir", str(elsewhere))
    assert again.returncode == 1
    assert "[RESTORE_NOT_EMPTY]" in again.stderr
    over = synapsenet("restore", *files, "--data-dir", str(platform.data))
    assert "[DATA_IN_USE]" in over.stderr


def test_records_alone_are_saved_if_that_is_wanted(platform: LivePlatform, tmp_path: Path) -> None:
    file = tmp_path / "features.backup"
    saved = synapsenet("backup", "features", "--data-dir", str(platform.data), "--to", str(file), "--records-only")
    assert saved.returncode == 0, saved.stderr
    assert "were left out" in saved.stderr
    with ZipFile(file) as archive:
        assert [name for name in archive.namelist() if "/" in name] == []
