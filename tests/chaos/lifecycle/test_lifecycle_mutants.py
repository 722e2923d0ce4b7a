"""The audit is audited: coordinators without a fence, a compare-and-set or a lock race, and it must notice each."""

from __future__ import annotations

from pathlib import Path

import pytest

from synapsenet.lifecycle.audit import audit
from synapsenet.lifecycle.table import MACHINE
from synapsenet.testing.lifecycle_history import overlaps, refusable, unserved
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.racing import OpenDoors, Race, Record, UncomparedWork, UnfencedParts, UnfencedWork

SEEDS = (1, 2, 3)


def wrongs(record: Record) -> list[str]:
    """Everything that is wrong with a race."""
    found = audit(MACHINE, record.entries).all
    return [*found, *overlaps(record.holdings), *refusable(record.writes), *unserved(record.writes, record.routes)]


async def test_coordinators_that_lose_their_locks_unawares_do_nothing_wrong(tmp_path: Path, judge: Judge) -> None:
    record = await Race(seed=SEEDS[0]).run(tmp_path)
    assert wrongs(record) == []
    assert len({write.fence for write in record.writes}) > len(record.routes), "nobody took anything over"
    judge("leases forgotten in the middle", faults=len(record.holdings), findings=audit(MACHINE, record.entries))


@pytest.mark.parametrize(
    ("mutant", "words"),
    [
        (Race(unit=UnfencedWork, parts=UnfencedParts), "took a write for"),
        (Race(unit=UncomparedWork), "two moved version"),
        (Race(locks=OpenDoors), "was held with"),
    ],
    ids=["no fence", "no compare-and-set", "no lock"],
)
async def test_a_coordinator_that_lacks_a_protection_is_found_out(mutant: Race, words: str, tmp_path: Path) -> None:
    for seed in SEEDS:  # chance may save a mutant once
        mutant.seed = seed
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = [wrong for wrong in wrongs(await mutant.run(folder)) if words in wrong]
        if found:
            return
    pytest.fail(f"nothing of the kind: {words}")
