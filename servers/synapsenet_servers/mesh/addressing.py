"""Calls between services that name the role which is to answer: the service alone does not tell, for several roles serve it."""

from __future__ import annotations

PARTICIPANTS = "synapsenet.lifecycle.v1.ParticipantControlService"
"""Served by every role that takes part in sagas."""

HEADER = "synapsenet-participant"
"""The metadata in which a call of it names the role."""


def addressed_to(role: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a call that `role` is to answer."""
    return ((HEADER, role),)
