"""Hosts made of network namespaces, which tests of faults rely on: apart, cut off in silence, gone in the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from socket import create_connection, create_server, socket

import psutil
import pytest

from tests.cluster import until
from tests.hosts import LOOPBACK, Host, Network, network

PORT = 7400
SILENCE_S = 0.5
ROOT = Path(__file__).parents[3]

# Leaves hosts and somebody in one of them behind, as a run does that is killed.
KILLED = """
import os, signal, subprocess
from tests.hosts import network
with network("a") as net:
    left = subprocess.Popen(net.hosts["a"].command(["sleep", "600"]), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    print(net.switch, left.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network("a", "b") as made:
        yield made


def test_each_host_has_a_loopback_of_its_own(net: Network) -> None:
    a, b = net.hosts.values()
    with a.inside(partial(create_server, (LOOPBACK, PORT))), b.inside(partial(create_server, (LOOPBACK, PORT))):
        a.inside(partial(create_connection, (LOOPBACK, PORT), SILENCE_S)).close()


def test_a_host_is_reached_by_its_address_and_cut_off_by_nobody_and_in_silence(net: Network) -> None:
    a, b = net.hosts.values()
    with a.inside(partial(create_server, (a.address, PORT))):
        dial = partial(create_connection, (a.address, PORT), SILENCE_S)
        until(partial(reached, b, dial), within=10.0)  # a cable that was just plugged in carries nothing for a moment
        dial().close()
        with net.cut_off(a), pytest.raises(TimeoutError):
            b.inside(dial)
        until(partial(reached, b, dial), within=10.0)  # a neighbour that did not answer is asked again after a second


def reached(host: Host, dial: Callable[[], socket]) -> bool:
    try:
        host.inside(dial).close()
    except OSError:
        return False
    return True


def test_what_a_killed_run_left_is_removed_by_the_next_one() -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    switch, left = killed.stdout.split()
    assert switch in namespaces()
    with network("b"):
        assert switch not in namespaces()
        assert not psutil.pid_exists(int(left)) or psutil.Process(int(left)).status() == psutil.STATUS_ZOMBIE


def namespaces() -> set[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, timeout=20, check=True).stdout
    return {line.split()[0] for line in listed.splitlines()}
