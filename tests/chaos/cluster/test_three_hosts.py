"""Three hosts, and one of them cut off in the midst of the demo: the rest goes on, and the one comes back."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synapsenet.adapters.sql.lock_keys import lock_key
from synapsenet.adapters.sql.postgres import connect as connect_to_postgres
from synapsenet_client import SynapseNetError
from tests.chaos.conftest import Tell
from tests.cluster import until
from tests.hosts import LOOPBACK, NoNamespacesError
from tests.live import CLI
from tests.relayed_events import EventReader, Seen, judge
from tests.three_hosts import EDGE, Place, ThreeHosts, three_hosts

pytestmark = [pytest.mark.netns, pytest.mark.timeout(300)]

DEMO_S = 150.0
ANSWERED_S = 12.0  # any call, the cut included
TOLD_S = 25.0  # a call at the host that is cut off itself
TRIES = 4
PAUSE_S = 0.2
FORGOTTEN_S = 30.0
BACK_S = 30.0
EVENTS_S = 30.0
REFUSALS = (429, 503, 504)
CUT_AFTER = "train by synchronous SGD"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ThreeHosts]:
    with ExitStack() as stack:
        try:
            hosts = stack.enter_context(three_hosts())
        except NoNamespacesError as problem:
            raise pytest.fail.Exception(str(problem), pytrace=False) from None
        yield hosts


@dataclass(slots=True)
class Writer:
    """Somebody at an edge who makes models, as a program does that repeats what was not answered.

    Attributes:
        acknowledged: name and id of each model whose creation was answered.
        slowest: seconds from the first attempt to the answer.
        given_up: what those were told that failed to the last attempt.
    """

    place: Place
    acknowledged: dict[str, str] = field(default_factory=dict)
    slowest: float = 0.0
    given_up: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        """Until it is told to stop."""
        number = 0
        while not self.over.wait(PAUSE_S):
            number += 1
            self.create(f"written-{number}")

    def create(self, name: str) -> None:
        """Make one model, within a few attempts."""
        begun = time.monotonic()
        told: list[Any] = []
        while len(told) < TRIES:
            status, answer = created(self.place, name)
            if status == 200:
                self.acknowledged[name] = answer["model"]["id"]
                self.slowest = max(self.slowest, time.monotonic() - begun)
                return
            told.append((status, answer))
            time.sleep(PAUSE_S)
        self.given_up.append(f"{name}: {told}")


@contextmanager
def writing(place: Place) -> Iterator[Writer]:
    """A writer at work inside the `with`."""
    writer = Writer(place)
    thread = threading.Thread(target=writer.write)
    thread.start()
    try:
        yield writer
    finally:
        writer.over.set()
        thread.join(TRIES * ANSWERED_S)


def created(place: Place, name: str, *, seconds: float = ANSWERED_S) -> tuple[int, Any]:
    """What the edge of `place` answers who wants a model of that name; 0 and the problem if it does not answer."""
    try:
        wish = {"name": name, "task": "MODEL_TASK_CLASSIFICATION", "request_id": name}
        return place.host.request("POST", EDGE, "/models", wish, seconds=seconds)
    except (OSError, http.client.HTTPException) as problem:
        return 0, repr(problem)


def names(place: Place) -> set[str]:
    """Of all models, as the process of `place` itself lists them."""
    with place.client() as client:
        return {model.name for model in client.models.list()}


def predicts(place: Place) -> bool:
    """Whether the process of `place` itself has loaded what the demo deployed."""
    try:
        with place.client() as client:
            answer = client.inference.predict("digits", {"pixels": np.zeros((1, 64), np.float32)})
        return bool(answer.outputs["digit"].shape == (1,))
    except SynapseNetError:
        return False


def answers(place: Place) -> bool:
    """Whether its edge passes calls on to services that answer."""
    try:
        return place.host.get(EDGE, "/models")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


@dataclass(slots=True, kw_only=True)
class Demo:
    """`synapsenet demo` on a host, at its edge."""

    process: subprocess.Popen[str]
    progress: Path

    def has_done(self, step: str) -> bool:
        """Whether it has said that it did `step`."""
        said = self.progress.read_text()
        assert self.process.poll() in (None, 0), said
        return step in said

    def outcome(self) -> Mapping[str, Any]:
        """What it found, once it has ended.

        Raises:
            AssertionError: it failed; with what it said.
        """
        answer, _ = self.process.communicate(timeout=DEMO_S)
        assert self.process.returncode == 0, self.progress.read_text()
        found: Mapping[str, Any] = json.loads(answer)
        return found


@contextmanager
def running_demo(place: Place, progress: Path) -> Iterator[Demo]:
    command = place.host.command([*CLI, "demo", "--target", f"{LOOPBACK}:{EDGE}", "--json"])
    with progress.open("w") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        try:
            yield Demo(process=process, progress=progress)
        finally:
            if process.poll() is None:
                process.kill()


def test_a_host_cut_off_in_the_midst_of_the_demo_is_missed_by_nobody_and_comes_back(
    cluster: ThreeHosts, tmp_path: Path, tell: Tell
) -> None:
    a, b, c = (cluster.places[name] for name in "abc")
    with running_demo(a, tmp_path / "progress") as demo, writing(a) as writer:
        until(partial(demo.has_done, CUT_AFTER), within=DEMO_S)
        carried = a.carried(c)
        assert carried > 0, "it carries calls, else nobody could miss it"
        with cluster.network.cut_off(c.host):
            cut_at = time.monotonic()
            assert demo.process.poll() is None
            status, told = created(c, "nowhere", seconds=TOLD_S)
            assert status in REFUSALS, f"people at the host that is cut off are told so: {told}"
            until(lambda: a.has_forgotten(c) and b.has_forgotten(c), within=FORGOTTEN_S)
            forgotten = time.monotonic() - cut_at
            outcome = demo.outcome()
            assert set(writer.acknowledged) <= names(b)
        healed_at = time.monotonic()
    took = outcome["seconds"]
    assert outcome["sync_accuracy"] >= 0.95
    assert outcome["served_accuracy"] == outcome["sync_accuracy"]
    assert 0 < outcome["p_value"] < 0.05
    assert writer.given_up == []
    assert writer.slowest < ANSWERED_S

    until(lambda: a.knows(c) and answers(a) and a.carried(c) > carried, within=BACK_S)
    back = time.monotonic() - healed_at
    assert c.process.process.poll() is None, "it needed no restart"
    assert "is lost and made anew" in c.process.log.read_text()
    until(partial(predicts, c), within=BACK_S)
    lost = [name for place in (b, c) for name in set(writer.acknowledged) - names(place)]
    aggregates = {f"model/{model}" for model in writer.acknowledged.values()}
    verdict = judge(events(cluster, aggregates), dict.fromkeys(aggregates, 1))
    assert verdict.strangers == 0
    tell(
        f"one host of three cut off in the demo, which passed in {took:.0f} s: forgotten after {forgotten:.0f} s, "
        f"slowest of {len(writer.acknowledged)} writes {writer.slowest:.1f} s, back after {back:.1f} s",
        lost_writes=len(lost),
        lost_events=verdict.lost,
        reordered=verdict.reordered,
    )


def test_a_host_cut_off_in_its_turn_to_write_loses_it_before_others_give_up(cluster: ThreeHosts, tell: Tell) -> None:
    a, c = cluster.places["a"], cluster.places["c"]
    writer = Writer(a)
    with closing(c.host.inside(partial(connect_to_postgres, cluster.postgres, "models"))) as holder:
        holder.execute(f"BEGIN; SELECT pg_advisory_xact_lock({lock_key('work', 'models')})")
        with cluster.network.cut_off(c.host):
            writer.create("after-the-turn")
    assert writer.slowest < ANSWERED_S
    until(lambda: a.reaches(c) and answers(c), within=BACK_S)
    tell(
        f"a host cut off in its turn to write: the next one wrote after {writer.slowest:.1f} s",
        lost_writes=len(writer.given_up),
    )


def events(cluster: ThreeHosts, aggregates: set[str]) -> list[Seen]:
    """What a consumer of the models' events has received of these, once it has something of each."""
    with closing(EventReader(cluster.broker, "synapsenet.models.events")) as reader:
        reader.await_topic(seconds=EVENTS_S)
        seen = reader.read_until(lambda seen: aggregates <= {one.aggregate for one in seen}, seconds=EVENTS_S)
    return [one for one in seen if one.aggregate in aggregates]
