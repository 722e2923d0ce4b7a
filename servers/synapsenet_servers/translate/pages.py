"""Which page a list request asks for."""

from __future__ import annotations

from typing import Any

from synapsenet.platform.paging import PageRequest

_PAGING = ("page_size", "page_token")


def page_request(message: Any) -> PageRequest:
    """The page that `message` wants; all its other fields are the query that its token belongs to.

    Raises:
        InvalidArgument: PAGE_SIZE_NEGATIVE.
    """
    query = type(message)()
    query.CopyFrom(message)
    for field in _PAGING:
        query.ClearField(field)
    text = query.SerializeToString(deterministic=True).hex()
    return PageRequest(size=message.page_size, token=message.page_token, query=text)
