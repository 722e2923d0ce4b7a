"""Taking part in sagas, over notes in memory."""

from __future__ import annotations

import pytest

from synapsenet.testing.participants import ParticipantContract
from synapsenet.testing.participation import MemoryWork, StepNotesContract


@pytest.fixture
def work() -> MemoryWork:
    return MemoryWork()


class TestMemoryNotes(StepNotesContract):
    """The shared suite."""


class TestParticipantInMemory(ParticipantContract):
    """The shared suite."""
