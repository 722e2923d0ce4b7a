"""Changes of jobs: none is missed, and nothing is kept for those that nobody waits for."""

from __future__ import annotations

import gc
import weakref

from synapsenet.training.changes import Changes


def test_all_who_expected_a_change_are_told_of_it_and_whoever_comes_later_waits_for_the_next() -> None:
    changes = Changes()
    one, other = changes.expect("job-1"), changes.expect("job-1")
    elsewhere = changes.expect("job-2")
    changes.announce("job-1")
    assert one.is_set()
    assert other.is_set()
    assert not elsewhere.is_set()
    assert not changes.expect("job-1").is_set()


def test_nothing_is_kept_of_a_job_that_nobody_waits_for() -> None:
    changes = Changes()
    forgotten = weakref.ref(changes.expect("job-that-never-was"))
    gc.collect()
    assert forgotten() is None
    changes.announce("job-that-never-was")
