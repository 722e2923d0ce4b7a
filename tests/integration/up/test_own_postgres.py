"""A PostgreSQL of our own, for users that it would not run as by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMELESS = 54_321
MAKE = """
import sys
from pathlib import Path
from synapsenet.errors import SynapseError
from synapsenet_servers.backends.postgres import postgres
folder = Path(sys.argv[1])
try:
    print(postgres(folder, sockets=folder, port=1).argv[0])
except SynapseError as refusal:
    print(refusal.reason, refusal.public)
"""


def made_by_nobody_known(folder: Path, path: str) -> str:
    """What a user whose id has no name is told when a server is made in `folder`."""
    unshare = shutil.which("unshare")
    assert unshare is not None
    command = [unshare, "--user", f"--map-user={NAMELESS}", f"--map-group={NAMELESS}", sys.executable, "-c", MAKE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_user_whose_id_has_no_name_gets_a_server_all_the_same(tmp_path: Path) -> None:
    assert made_by_nobody_known(tmp_path, os.environ["PATH"]) == "unshare"
    assert (tmp_path / "data" / "PG_VERSION").exists()
    assert (tmp_path / "data").stat().st_uid == os.geteuid()


def test_where_that_cannot_be_the_user_is_named_and_not_the_folder(tmp_path: Path) -> None:
    told = made_by_nobody_known(tmp_path, "/nowhere")
    assert told.startswith("USER_NAMELESS PostgreSQL does not run as a user without a name, and the user id 54321 has none")
    assert "add a line for that user id to /etc/passwd" in told
    assert not (tmp_path / "data").exists()
