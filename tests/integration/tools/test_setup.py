"""`make setup` is instant when done, starts anew when it was interrupted, and refuses in one sentence what it cannot mend."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.house import ROOT


class Clone:
    """A checkout in which nothing was set up, without network and without leave to install Debian packages."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        (root / "tools").mkdir()
        shutil.copy(ROOT / "tools/setup.sh", root / "tools")
        shutil.copy(ROOT / "pyproject.toml", root)
        self.lock = root / "requirements.lock"
        self.lock.write_text("nowhere-to-be-found==1.0 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")

    def set_up(self, **environment: str) -> subprocess.CompletedProcess[str]:
        alone = {
            "SYNAPSENET_DEBIAN_PACKAGES": "no",
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PYTHON": sys.executable,
        }
        return subprocess.run(
            [self.root / "tools/setup.sh"],
            env=os.environ | alone | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def pretend_ready(self) -> None:
        """What a finished set-up leaves behind."""
        (self.venv / "bin").mkdir(parents=True)
        (self.venv / "bin/python").symlink_to(sys.executable)
        what = "cat requirements.lock pyproject.toml tools/setup.sh | sha256sum > .venv/.ready"
        subprocess.run(["bash", "-c", what], cwd=self.root, check=True, timeout=10)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_a_second_run_does_nothing_and_says_nothing(clone: Clone) -> None:
    clone.pretend_ready()

    again = clone.set_up()

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_changed_lock_file_is_installed(clone: Clone) -> None:
    clone.pretend_ready()
    clone.lock.write_text(clone.lock.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")

    assert "setup: installing what requirements.lock names" in clone.set_up().stderr


def test_a_failed_installation_leaves_no_stamp_and_the_next_run_starts_from_an_empty_environment(clone: Clone) -> None:
    failed = clone.set_up()
    assert failed.returncode != 0
    assert "nowhere-to-be-found" in failed.stderr
    assert not (clone.venv / ".ready").exists()

    half_installed = clone.venv / "lib/half_installed.py"
    half_installed.touch()
    again = clone.set_up()

    assert "setup: creating .venv" in again.stderr
    assert not half_installed.exists()


def fake_python(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_another_python_than_the_lock_is_made_for_is_refused_in_one_sentence(clone: Clone, tmp_path: Path) -> None:
    python = fake_python(tmp_path / "python3.12", "exit 1")

    refused = clone.set_up(PYTHON=python)

    assert refused.returncode == 1
    assert refused.stderr == (
        f"setup: {python} is no Python 3.11: install one, or name one: PYTHON=/path/to/python3.11 make setup\n"
    )


def test_a_python_without_venv_is_refused_with_the_package_to_install(clone: Clone, tmp_path: Path) -> None:
    python = fake_python(tmp_path / "python3.11", 'case "$2" in *ensurepip*) exit 1 ;; esac')

    refused = clone.set_up(PYTHON=python)

    assert refused.returncode == 1
    assert refused.stderr == f"setup: {python} cannot create environments: apt-get install python3-venv\n"
