"""The suites of locks and membership over SQL rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.membership import SqlMembership
from synapsenet.platform.locks import Locks
from synapsenet.platform.membership import Membership
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.locks import TTL, LocksContract
from synapsenet.testing.membership import MembershipContract, instance, names


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_coordination(tmp_path / "coordination.sqlite") as opened:
        yield opened


@pytest.fixture
def locks(database: Database, clock: FakeClock) -> Locks:
    return SqlLocks(database, clock)


@pytest.fixture
def membership(database: Database, clock: FakeClock) -> Membership:
    return SqlMembership(database, clock)


class TestSqlLocks(LocksContract):
    """The shared suite."""


class TestSqlMembership(MembershipContract):
    """The shared suite."""


async def test_a_restart_frees_the_locks_of_the_dead_and_tokens_go_on_growing(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "restarted.sqlite"
    async with open_coordination(path) as database:
        held = SqlLocks(database, clock).hold("a", holder="dead", ttl=TTL, wait=0)
        dead = await held.__aenter__()
        await SqlMembership(database, clock).join(instance("x"), ttl=TTL).__aenter__()
    async with open_coordination(path) as database:
        assert await names(SqlMembership(database, clock)) == []
        async with SqlLocks(database, clock).hold("a", holder="next", ttl=TTL, wait=0) as next_held:
            assert next_held.token > dead.token
