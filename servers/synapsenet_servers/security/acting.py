"""Who has the work at hand done, as far as the platform made sure of them.

It is known from the call that is being answered, and goes with the calls that are made for it: a service of the platform is
believed when it says for whom it calls, nobody else is.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any
from urllib.parse import quote, unquote

HEADER = "synapsenet-actor"
_LONGEST = 1_024
_PLAIN = ":/@ "

_actor: ContextVar[str] = ContextVar("actor", default="")


def actor() -> str:
    """Their name: of a token, or the identity of a certificate; empty: nobody was asked who they are."""
    return _actor.get()


def act_for(name: str) -> None:
    """Let `name` be who the rest of the call at hand is carried out for."""
    _actor.set(name)


def header() -> tuple[str, str] | None:
    """What goes with a call that is made for the one at hand; None: nobody is known."""
    name = actor()
    return (HEADER, quote(name, safe=_PLAIN)) if name else None


def forwarded(metadata: Any) -> str:
    """For whom a service of the platform says that it calls; empty: for itself."""
    found = [value for key, value in metadata or () if key == HEADER and isinstance(value, str)]
    return unquote(found[0][:_LONGEST]) if found else ""
