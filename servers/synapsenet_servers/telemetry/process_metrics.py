"""What a process costs: processor time, memory, descriptors, threads, read from the kernel."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from synapsenet_servers.telemetry.instruments import (
    CPU_TIME,
    DESCRIPTORS,
    MEMORY,
    THREADS,
    UPTIME,
    Gauge,
    Labels,
    Read,
)

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")
_DESCRIPTORS = Path("/proc/self/fd")
_THREADS = Path("/proc/self/task")


def process_gauges() -> Iterable[tuple[Gauge, Read]]:
    """The gauges of this process, and how each is read."""
    began = time.monotonic()
    return (
        (CPU_TIME, _cpu_time),
        (MEMORY, _memory),
        (DESCRIPTORS, lambda: _entries(_DESCRIPTORS)),
        (THREADS, lambda: _entries(_THREADS)),
        (UPTIME, lambda: [(time.monotonic() - began, {})]),
    )


def _cpu_time() -> Iterable[tuple[float, Labels]]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return [(used.ru_utime, {"cpu.mode": "user"}), (used.ru_stime, {"cpu.mode": "system"})]


def _memory() -> Iterable[tuple[float, Labels]]:
    """Resident bytes, as /proc says; nothing where there is none."""
    try:
        resident = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return []
    return [(resident * _PAGE_BYTES, {})]


def _entries(folder: Path) -> Iterable[tuple[float, Labels]]:
    try:
        return [(sum(1 for _ in folder.iterdir()), {})]
    except OSError:
        return []
