"""A backup that is killed while it reads the online store costs the store no room for long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from synapsenet.adapters.lmdb.environment import Environment

MIB = 1 << 20
READER = """
import sys, lmdb
environment = lmdb.open(sys.argv[1], readonly=True, max_dbs=8)
with environment.begin():
    print("reading", flush=True)
    sys.stdin.read()
"""


def overwrite(environment: Environment, times: int) -> None:
    """Put a value in the place of the former one; makes room as the writer of the online store does."""
    for number in range(times):
        while True:
            try:
                with environment.writing() as transaction:
                    transaction.put(b"key", bytes([number]) * (MIB // 4))
                break
            except lmdb.MapFullError:
                if not environment.grow():
                    raise


def test_what_a_killed_reader_kept_is_free_again_before_the_store_is_full(tmp_path: Path) -> None:
    environment = Environment(tmp_path, map_bytes=MIB, map_limit_bytes=4 * MIB)
    try:
        overwrite(environment, 1)
        reader = [sys.executable, "-c", READER, str(tmp_path)]
        with subprocess.Popen(reader, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"reading\n"
            with pytest.raises(lmdb.MapFullError):
                overwrite(environment, 100)
            process.kill()
        overwrite(environment, 100)
    finally:
        environment.close()
