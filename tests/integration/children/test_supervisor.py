"""The supervisor over real processes; its own waits run on a clock that the tests move."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from synapsenet.errors import AlreadyExists, FailedPrecondition, ResourceExhausted, Unavailable
from synapsenet.testing.clock import FakeClock
from synapsenet_servers.children.launcher import environment
from synapsenet_servers.children.supervisor import Child, ChildSpec, ChildState, Restart, Supervisor, SupervisorOptions

PROMPT = Restart(budget=2, window=60, first=1.0, factor=2, jitter=0)
STUBBORN = "trap '' TERM; echo deaf; while :; do sleep 1; done"

Spec = Callable[..., ChildSpec]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def supervisor(clock: FakeClock) -> AsyncIterator[Supervisor]:
    options = SupervisorOptions(children=3)
    async with Supervisor(clock=clock, options=options, random=Random(0)) as supervisor:
        yield supervisor
        for child in supervisor.children():
            if child.pid:
                os.kill(child.pid, signal.SIGKILL)


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    def build(script: str = "exec sleep 60", *, name: str = "child", **settings: Any) -> ChildSpec:
        log = tmp_path / f"{name}.log"
        argv = ["sh", "-c", script]
        return ChildSpec(name=name, argv=argv, env=environment(GREETING="hello"), cwd=tmp_path, log=log, **settings)

    return build


async def reached(child: Child, state: ChildState, *, restarts: int = 0) -> None:
    """Wait, in real time, for what a real process does to the child."""
    async with asyncio.timeout(10):
        while child.state is not state or child.restarts != restarts:
            await asyncio.sleep(0.005)


async def said(log: Path, words: str) -> None:
    async with asyncio.timeout(10):
        while not log.exists() or words not in log.read_text():
            await asyncio.sleep(0.005)


async def test_a_child_gets_its_environment_and_folder_and_its_output_is_in_its_log(
    supervisor: Supervisor, spec: Spec, tmp_path: Path
) -> None:
    child = await supervisor.start(spec('echo "$GREETING from $PWD"; env | grep -c PYTEST >&2; exit 7'))
    ended = await child.wait()
    assert (ended.code, ended.signal, ended.stopped, ended.reason) == (7, None, False, "child ended with code 7")
    assert ended.last_words == f"hello from {tmp_path}\n0"


async def test_the_argv_of_the_child_is_what_was_asked_for(supervisor: Supervisor, spec: Spec) -> None:
    child = await supervisor.start(spec("echo up; while :; do sleep 1; done"))
    await said(child.spec.log, "up")
    assert Path(f"/proc/{child.pid}/cmdline").read_bytes().split(b"\0")[:2] == [b"sh", b"-c"]
    assert child.pid is not None
    assert os.getpgid(child.pid) == child.pid


async def test_a_death_by_signal_is_noticed_at_once_and_named(supervisor: Supervisor, spec: Spec) -> None:
    child = await supervisor.start(spec())
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    async with asyncio.timeout(1):
        ended = await child.wait()
    assert (ended.code, ended.signal, ended.reason) == (None, signal.SIGKILL, "child was killed by SIGKILL")
    assert supervisor.statistics().given_up == 1


async def test_a_child_that_did_its_work_and_ended_was_not_given_up(supervisor: Supervisor, spec: Spec) -> None:
    child = await supervisor.start(spec("exit 0"))
    assert (await child.wait()).code == 0
    assert supervisor.statistics().given_up == 0


async def test_a_stopped_child_had_its_chance_to_end_by_itself(supervisor: Supervisor, spec: Spec) -> None:
    child = await supervisor.start(spec("trap 'echo drained; exit 0' TERM; echo up; while :; do sleep 0.05; done"))
    await said(child.spec.log, "up")
    ended = await child.stop()
    assert (ended.code, ended.stopped, ended.reason) == (0, True, "child was stopped")
    assert ended.last_words.endswith("drained")


async def test_a_child_deaf_to_sigterm_is_killed_after_its_grace(supervisor: Supervisor, spec: Spec, clock: FakeClock) -> None:
    child = await supervisor.start(spec(STUBBORN))
    await said(child.spec.log, "deaf")
    stopping = asyncio.ensure_future(child.stop(grace=4))
    await reached(child, ChildState.STOPPING)
    await clock.advance(3.9)
    assert not stopping.done()
    await clock.advance(0.2)
    assert (await stopping).signal == signal.SIGKILL


async def test_a_second_stop_cuts_the_grace_to_nothing(supervisor: Supervisor, spec: Spec) -> None:
    child = await supervisor.start(spec(STUBBORN))
    await said(child.spec.log, "deaf")
    patient = asyncio.ensure_future(child.stop(grace=3600))
    await reached(child, ChildState.STOPPING)
    assert (await child.stop(grace=0)).signal == signal.SIGKILL
    assert (await patient).stopped


async def test_what_a_child_leaves_in_its_process_group_ends_with_it(supervisor: Supervisor, spec: Spec) -> None:
    child = await supervisor.start(spec("sleep 60 & echo $!; exit 0"))
    ended = await child.wait()
    left = Path(f"/proc/{int(ended.last_words)}/stat")
    async with asyncio.timeout(2):
        while left.exists() and left.read_text().rsplit(")", 1)[1].split()[0] != "Z":
            await asyncio.sleep(0.01)


async def test_a_child_that_dies_comes_back_after_its_backoff(supervisor: Supervisor, spec: Spec, clock: FakeClock) -> None:
    child = await supervisor.start(spec(restart=PROMPT))
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await reached(child, ChildState.BACKOFF)
    assert child.pid is None
    await clock.advance(0.9)
    assert child.state is ChildState.BACKOFF
    await clock.advance(0.1)
    await reached(child, ChildState.RUNNING, restarts=1)
    assert child.pid not in (None, first)


async def test_a_child_whose_restarts_are_spent_is_given_up_and_its_owner_is_told(
    supervisor: Supervisor, spec: Spec, clock: FakeClock
) -> None:
    child = await supervisor.start(spec("exit 3", restart=PROMPT))
    for restarts in (0, 1):
        await reached(child, ChildState.BACKOFF, restarts=restarts)
        await clock.advance(2.0)
    ended = await child.wait()
    assert (ended.code, ended.reason) == (3, "child ended with code 3, and its restarts are spent")
    assert supervisor.children() == []


async def test_a_child_in_its_backoff_can_be_stopped(supervisor: Supervisor, spec: Spec) -> None:
    child = await supervisor.start(spec("exit 3", restart=PROMPT))
    await reached(child, ChildState.BACKOFF)
    assert (await child.stop()).stopped


async def test_start_returns_when_the_child_is_ready(supervisor: Supervisor, spec: Spec, tmp_path: Path) -> None:
    wish = spec("sleep 0.1; echo ready; exec sleep 60", ready=lambda: said(tmp_path / "child.log", "ready"))
    starting = asyncio.ensure_future(supervisor.start(wish))
    while not supervisor.children():
        await asyncio.sleep(0)
    assert supervisor.children()[0].state is ChildState.STARTING
    assert (await starting).state is ChildState.RUNNING


async def test_a_child_that_ends_before_it_is_ready_is_reported_with_its_last_words(supervisor: Supervisor, spec: Spec) -> None:
    with pytest.raises(Unavailable, match=r"child ended with code 2 before it was ready: see child\.log") as caught:
        await supervisor.start(spec("echo no such model; exit 2", ready=asyncio.Event().wait, restart=PROMPT))
    assert caught.value.secret == "no such model"
    assert supervisor.children() == []


async def test_a_child_that_is_not_ready_in_time_is_ended(supervisor: Supervisor, spec: Spec, clock: FakeClock) -> None:
    starting = asyncio.ensure_future(supervisor.start(spec(ready=asyncio.Event().wait, ready_within=30)))
    while not (supervisor.children() and (pid := supervisor.children()[0].pid)):
        await asyncio.sleep(0)
    await clock.advance(30)
    with pytest.raises(Unavailable, match="not ready within 30 s"):
        await starting
    assert not Path(f"/proc/{pid}").exists()


async def test_a_probe_that_breaks_is_reported_and_leaves_no_child(supervisor: Supervisor, spec: Spec) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(Unavailable, match="cannot be asked whether it is ready: ZeroDivisionError"):
        await supervisor.start(spec(ready=broken))
    assert supervisor.children() == []


async def test_a_start_that_nobody_waits_for_any_more_leaves_no_child(supervisor: Supervisor, spec: Spec) -> None:
    starting = asyncio.ensure_future(supervisor.start(spec(ready=asyncio.Event().wait)))
    while not (supervisor.children() and (pid := supervisor.children()[0].pid)):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert supervisor.children() == []
    assert not Path(f"/proc/{pid}").exists()


async def test_a_missing_program_is_named_before_anything_starts(supervisor: Supervisor, spec: Spec, tmp_path: Path) -> None:
    wish = ChildSpec(name="x", argv=["no-such-program"], env=environment(), cwd=tmp_path, log=tmp_path / "x.log")
    with pytest.raises(FailedPrecondition, match="the program 'no-such-program' is not installed"):
        await supervisor.start(wish)


async def test_names_are_unique_and_the_number_of_children_is_bounded(supervisor: Supervisor, spec: Spec) -> None:
    for number in range(3):
        await supervisor.start(spec(name=f"child-{number}"))
    with pytest.raises(AlreadyExists, match="child-0"):
        await supervisor.start(spec(name="child-0"))
    with pytest.raises(ResourceExhausted, match="3 child processes run"):
        await supervisor.start(spec(name="child-3"))
    assert supervisor.statistics().children == {ChildState.RUNNING: 3}


async def test_close_stops_the_last_started_first_and_starts_no_more(clock: FakeClock, spec: Spec, tmp_path: Path) -> None:
    order = tmp_path / "order"
    supervisor = Supervisor(clock=clock)
    for name in ("first", "second", "third"):
        script = f"trap 'echo {name} >> {order}; exit 0' TERM; echo up; while :; do sleep 0.02; done"
        child = await supervisor.start(spec(script, name=name))
        await said(child.spec.log, "up")
    await supervisor.close()
    assert order.read_text().split() == ["third", "second", "first"]
    with pytest.raises(FailedPrecondition, match="shutting down"):
        await supervisor.start(spec())


async def test_a_log_past_its_limit_is_kept_once_and_begun_anew_under_the_running_child(
    supervisor: Supervisor, spec: Spec, clock: FakeClock, tmp_path: Path
) -> None:
    script = "echo first page; while [ ! -e go ]; do sleep 0.02; done; echo second page; exec sleep 60"
    child = await supervisor.start(spec(script, log_limit=5))
    await said(child.spec.log, "first page")
    await clock.advance(60)
    async with asyncio.timeout(5):
        while child.spec.log.stat().st_size:
            await asyncio.sleep(0.005)
    (tmp_path / "go").touch()
    await said(child.spec.log, "second page")
    assert child.spec.log.read_text() == "second page\n"
    assert (tmp_path / "child.log.1").read_text() == "first page\n"


def test_a_child_is_only_started_from_the_main_thread(tmp_path: Path) -> None:
    async def start() -> None:
        async with Supervisor(clock=FakeClock()) as supervisor:
            log = tmp_path / "x.log"
            await supervisor.start(ChildSpec(name="x", argv=[sys.executable], env=environment(), cwd=tmp_path, log=log))

    async def elsewhere() -> None:
        await asyncio.to_thread(asyncio.run, start())

    with pytest.raises(FailedPrecondition, match="main thread"):
        asyncio.run(elsewhere())


async def test_a_program_that_cannot_be_executed_is_reported_as_never_ready(
    supervisor: Supervisor, spec: Spec, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF but not really")
    broken.chmod(0o755)
    wish = ChildSpec(name="x", argv=[str(broken)], env=environment(), cwd=tmp_path, log=tmp_path / "x.log", restart=PROMPT)
    with pytest.raises(Unavailable, match="x ended with code 127 before it was ready") as caught:
        await supervisor.start(wish)
    assert "cannot execute" in caught.value.secret


async def test_whoever_shows_the_children_is_told_of_every_state_that_one_enters(spec: Spec, clock: FakeClock) -> None:
    told: list[tuple[ChildState, bool, int]] = []
    async with Supervisor(
        clock=clock, changed=lambda status: told.append((status.state, status.pid is not None, status.restarts))
    ) as supervisor:
        child = await supervisor.start(spec(restart=PROMPT))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        await reached(child, ChildState.BACKOFF)
        await clock.advance(1.0)
        await reached(child, ChildState.RUNNING, restarts=1)
    assert told == [
        (ChildState.STARTING, True, 0),
        (ChildState.RUNNING, True, 0),
        (ChildState.BACKOFF, False, 0),
        (ChildState.STARTING, True, 1),
        (ChildState.RUNNING, True, 1),
        (ChildState.STOPPING, True, 1),
        (ChildState.ENDED, False, 1),
    ]
