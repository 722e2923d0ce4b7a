"""Options that a contract has and this release has not: refused by name, so that none that was asked for is left out unsaid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from synapsenet.errors import NotYetAvailable

W = TypeVar("W")

_REMEDY = "leave it out"


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureOption(Generic[W]):
    """An option of a wish that is refused for now.

    Attributes:
        option: the field, with its value where only that one is refused, as the contract spells them: `mode=MODE_ASYNC`.
        brings: what will come, one sentence.
        asked: whether a wish asks for it.
        remedy: what can be done until then.
    """

    option: str
    brings: str
    asked: Callable[[W], bool]
    remedy: str = _REMEDY


def refuse(wish: W, options: Iterable[FutureOption[W]]) -> None:
    """Pass if `wish` asks for none of `options`.

    Raises:
        NotYetAvailable: NOT_YET_AVAILABLE, naming the first that it asks for.
    """
    for future in options:
        if future.asked(wish):
            raise to_come(future.option, remedy=future.remedy)


def to_come(option: str, *, remedy: str = _REMEDY) -> NotYetAvailable:
    """What to raise for `option`, spelt as in `FutureOption`."""
    path, _, value = option.partition("=")
    named = f"{path} {value}" if value else path
    return NotYetAvailable("NOT_YET_AVAILABLE", f"{named} is not available yet", field=path, remedy=remedy)
