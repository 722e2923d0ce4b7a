"""What holds for every test of the house."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

# A busy machine is no falsifying example, and a submission is not judged by a lucky draw.
settings.register_profile("house", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "house")

_HOSTS = "netns"
_WITHOUT_HOSTS = "--no-netns"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        _WITHOUT_HOSTS,
        action="store_true",
        help="leave out tests on hosts of network namespaces, which need root and `ip netns`",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{_HOSTS}: runs on hosts made of network namespaces; {_WITHOUT_HOSTS} leaves it out")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption(_WITHOUT_HOSTS):
        left_out = [item for item in items if item.get_closest_marker(_HOSTS)]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """What was imported stays until the end: no collection of garbage goes through all of it again, some 0.3 s each."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # or libraries complain, after all else was said, of what they take for leaks


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption(_WITHOUT_HOSTS):
        terminalreporter.section("left out")
        terminalreporter.write_line(
            f"{_WITHOUT_HOSTS}: no test was run on hosts of network namespaces; a host cut off is untested"
        )
