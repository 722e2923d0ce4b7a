"""The platform before its migrations, recorded: how it is recorded, and how whatever comes later is held to the recording.

Whoever migrates an area behind its contract changes nothing in `pre_migration/`. `python -m tests.golden.record` wrote it,
from the platform as it was; the replays are tests/integration/golden/.
"""
