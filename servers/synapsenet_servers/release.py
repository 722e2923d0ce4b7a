"""Which release of the platform this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("synapsenet")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


RELEASE = _installed()
