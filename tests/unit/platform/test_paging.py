"""Pages: where one ends and the next begins, and tokens that fit nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace

import pytest

from synapsenet.errors import InvalidArgument
from synapsenet.platform.paging import DEFAULT_SIZE, LARGEST_SIZE, Page, PageRequest


def read(rows: int, request: PageRequest) -> Page[int]:
    """The page of the numbers below `rows`, as a repository reads it."""
    start = -1 if request.after is None else request.after[0]
    return request.page([number for number in range(rows) if number > start][: request.limit + 1], lambda number: [number])


def pages(rows: int, request: PageRequest) -> Iterator[tuple[int, ...]]:
    while True:
        page = read(rows, request)
        yield page.items
        if not page.next_token:
            return
        request = replace(request, token=page.next_token)


@pytest.mark.parametrize(
    ("rows", "expected"), [(0, [()]), (2, [(0, 1)]), (3, [(0, 1), (2,)]), (4, [(0, 1), (2, 3)]), (5, [(0, 1), (2, 3), (4,)])]
)
def test_pages_have_every_row_once_and_a_full_last_page_has_no_successor(rows: int, expected: list[tuple[int, ...]]) -> None:
    assert list(pages(rows, PageRequest(size=2))) == expected


def test_a_page_has_a_default_and_a_largest_size() -> None:
    assert PageRequest().limit == DEFAULT_SIZE
    assert PageRequest(size=LARGEST_SIZE + 1).limit == LARGEST_SIZE
    with pytest.raises(InvalidArgument) as refusal:
        PageRequest(size=-1)
    assert (refusal.value.reason, refusal.value.field) == ("PAGE_SIZE_NEGATIVE", "page_size")


def token() -> str:
    return read(3, PageRequest(size=2, query="mine")).next_token


@pytest.mark.parametrize(
    "damaged",
    [
        "x",
        "€",
        token()[:-4],
        base64.urlsafe_b64encode(b"5").decode(),
        base64.urlsafe_b64encode(b'["stamp", [1]]').decode(),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_a_damaged_token_is_refused_by_name(damaged: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        _ = PageRequest(size=2, token=damaged, query="mine").after
    assert (refusal.value.reason, refusal.value.field) == ("PAGE_TOKEN_INVALID", "page_token")


def test_a_token_fits_only_the_query_that_it_came_from() -> None:
    assert PageRequest(size=9, token=token(), query="mine").after == [1]
    with pytest.raises(InvalidArgument):
        _ = PageRequest(size=2, token=token(), query="other").after
