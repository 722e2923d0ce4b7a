"""docs/errors.md knows every reason, wherever and however it is raised."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tools import errors_page
from tools.errors_page import Raised
from tools.house import ROOT, Source, sources


def only(text: str, path: str = "synapsenet/features/service.py") -> Raised:
    (raised,) = errors_page.raisings(Source(path, text))
    return raised


def test_a_reason_is_read_with_its_class_field_and_remedy() -> None:
    raised = only('raise InvalidArgument("SLA_NEGATIVE", field="sla", remedy="give" " a positive one")')

    assert raised == Raised(
        reason="SLA_NEGATIVE", kind="InvalidArgument", owner="features", field="sla", remedy="give a positive one"
    )


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ('errors.NotFound("GROUP_UNKNOWN", remedy=f"create {name} first")', "create … first"),
        ('return NotFound("GROUP_UNKNOWN", remedy="create " + name)', "create …"),
        ('refuse(NotFound("GROUP_UNKNOWN", remedy=REMEDY))', "…"),
        ('NotFound("GROUP_UNKNOWN")', ""),
    ],
)
def test_what_is_only_known_at_run_time_is_an_ellipsis(text: str, remedy: str) -> None:
    assert only(text).remedy == remedy


@pytest.mark.parametrize("text", ['NotFound("no such group")', "NotFound(reason)", 'Found("GROUP_UNKNOWN")', "NotFound()"])
def test_what_is_no_reason_is_left_alone(text: str) -> None:
    assert list(errors_page.raisings(Source("synapsenet/features/service.py", text))) == []


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("synapsenet/training/barrier.py", "training"),
        ("synapsenet/adapters/sql/experiments.py", "experiments"),
        ("servers/synapsenet_servers/peers/registry.py", "registry"),
        ("servers/synapsenet_servers/config.py", "platform"),
        ("synapsenet/platform/paging.py", "platform"),
    ],
)
def test_a_reason_belongs_to_its_area(path: str, owner: str) -> None:
    assert only('NotFound("X_UNKNOWN")', path).owner == owner


def test_the_page_has_one_row_a_reason_with_its_status() -> None:
    found = [
        only('NotFound("GROUP_UNKNOWN", field="group", remedy="create it")'),
        only('NotFound("GROUP_UNKNOWN", field="groups", remedy="a|b")', "synapsenet/monitoring/service.py"),
        only('NotYetAvailable("NOT_YET_AVAILABLE")'),
    ]

    rows = errors_page.render(found).splitlines()[-2:]

    assert rows == [
        "| `GROUP_UNKNOWN` | NOT_FOUND | features, monitoring | `group`, `groups` | a\\|b; or create it |",
        "| `NOT_YET_AVAILABLE` | UNIMPLEMENTED | features |  |  |",
    ]


def test_a_reason_with_two_classes_is_refused() -> None:
    found = [only('NotFound("RUN_GONE")'), only('Aborted("RUN_GONE")'), only('Aborted("RUN_BUSY")')]

    assert errors_page.ambiguities(found) == ["RUN_GONE is given as Aborted and NotFound: a reason has one class"]


@pytest.fixture(scope="module")
def found() -> Sequence[Raised]:
    """All that the platform raises."""
    return [raised for source in sources(ROOT) for raised in errors_page.raisings(source)]


def test_no_reason_of_the_platform_has_two_classes(found: Sequence[Raised]) -> None:
    assert found
    assert errors_page.ambiguities(found) == []


def test_every_reason_is_on_the_page(found: Sequence[Raised]) -> None:
    page = errors_page.PAGE.read_text(encoding="utf-8")
    reasons = {raised.reason for raised in found}

    assert sorted(reason for reason in reasons if f"| `{reason}` |" not in page) == [], "run `make proto`"
