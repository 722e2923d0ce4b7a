"""Whether the platform takes a configuration as it would be deployed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from synapsenet_servers import config


def accepted(file: Path, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> config.Config:
    """The configuration of a process that is given `file` and `variables`; an unknown key raises."""
    with monkeypatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        return config.load(file)
