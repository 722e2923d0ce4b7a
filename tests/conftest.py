"""What holds for every test of the house."""

from __future__ import annotations

import os

from hypothesis import settings

# A busy machine is no falsifying example, and a submission is not judged by a lucky draw.
settings.register_profile("house", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "house")
