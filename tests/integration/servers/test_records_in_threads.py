"""Records are read in several threads from the first one on: a library that crashes there takes the whole platform along."""

from __future__ import annotations

import subprocess
import sys

from tools.house import ROOT

PROGRAM = """
import sys
import threading
from dataclasses import make_dataclass

from synapsenet.platform import records

sys.setswitchinterval(1e-6)
for _ in range(50):
    part = make_dataclass("Part", [(f"number{n}", "int") for n in range(10)], frozen=True)
    kind = make_dataclass("Whole", [(f"part{n}", part) for n in range(10)], frozen=True)
    record = kind(*[part(*range(10))] * 10)
    data = records.encode(record)
    together, read = threading.Barrier(4), []

    def decode():
        together.wait(20)
        read.append(records.decode(kind, data))

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert read == [record] * 4
print("all read")
"""


def test_the_first_records_of_a_kind_are_read_by_many_threads_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "all read\n"), done.stderr
