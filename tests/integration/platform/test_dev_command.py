"""`synapsenet dev` from its first line to its end, as the person sees it who types it."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from synapsenet_client import connect
from tests.live import CLI, live_platform


def refused(*arguments: str) -> str:
    """What `synapsenet dev` says on stderr when it refuses to start."""
    done = subprocess.run([*CLI, "dev", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_starts_says_where_it_is_and_ends_on_ctrl_c_with_all_its_children(tmp_path: Path) -> None:
    begun = time.monotonic()
    with live_platform(tmp_path) as platform:
        seconds = time.monotonic() - begun
        assert platform.data == tmp_path
        with connect(platform.grpc) as client:
            assert list(client.models.list()) == []
        assert platform.get("/models") == (200, {"models": [], "next_page_token": ""})
        children = platform.children()
        assert children
        assert platform.stop() == 0
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    assert seconds < 15  # 5 s is the promise on a quiet machine; this one runs other tests


def test_sigterm_ends_it_as_well(tmp_path: Path) -> None:
    with live_platform(tmp_path) as platform:
        platform.process.send_signal(signal.SIGTERM)
        assert platform.process.wait(30) == 0


def test_the_data_folder_may_hold_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with live_platform(tmp_path):
        pass
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("flag", ["--port", "--http-port"])
def test_a_busy_port_is_refused_by_name(flag: str, tmp_path: Path) -> None:
    other = {"--port": "--http-port", "--http-port": "--port"}[flag]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(flag, str(port), other, "0", "--data-dir", str(tmp_path))
    assert f"127.0.0.1:{port} is in use" in said
    assert "choose another port" in said


def test_a_data_folder_in_use_is_refused_by_name_and_the_first_goes_on(tmp_path: Path) -> None:
    with live_platform(tmp_path) as platform:
        said = refused("--port", "0", "--http-port", "0", "--data-dir", str(tmp_path))
        assert f"{tmp_path} is in use by process {platform.process.pid}" in said
        assert platform.get("/models")[0] == 200


def test_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = refused("--port", "0", "--http-port", "0", "--data-dir", str(tmp_path / "file"))
    assert f"{tmp_path / 'file'} cannot be written" in said


def test_a_corrupt_database_is_refused_by_name_and_left_as_it_is(tmp_path: Path) -> None:
    with live_platform(tmp_path):
        pass
    database = next(tmp_path.glob("**/experiments*.sqlite"))
    database.write_bytes(b"no database at all " * 500)
    said = refused("--port", "0", "--http-port", "0", "--data-dir", str(tmp_path))
    assert f"{database.name} is damaged or no database" in said
    assert "restore it from a backup" in said
    assert database.read_bytes() == b"no database at all " * 500


def test_an_unknown_key_of_the_configuration_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "synapsenet.toml"
    file.write_text("[features]\nrows_per_bach = 1\n")
    said = refused("--port", "0", "--http-port", "0", "--data-dir", str(tmp_path / "data"), "--config", str(file))
    assert "features.rows_per_bach: unknown key: did you mean features.rows_per_batch?" in said
    assert not (tmp_path / "data").exists()
