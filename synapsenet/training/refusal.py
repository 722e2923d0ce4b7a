"""How the parameter server refuses a message of a worker: with a code, and with what the worker does next."""

from __future__ import annotations

from enum import Enum


class Code(Enum):
    """Why a message is refused; the names are the contract's."""

    SHAPE = "SHAPE"
    NON_FINITE = "NON_FINITE"
    LEASE = "LEASE"
    CODEC = "CODEC"
    SCHEMA = "SCHEMA"
    INCOMPLETE = "INCOMPLETE"
    DUPLICATE = "DUPLICATE"
    EPOCH = "EPOCH"
    FULL = "FULL"
    JOB_OVER = "JOB_OVER"
    PROTOCOL = "PROTOCOL"
    IDENTITY = "IDENTITY"
    VERSION = "VERSION"


class Action(Enum):
    """What the worker does next; the names are the contract's."""

    PULL = "PULL"
    RESEND = "RESEND"
    REJOIN = "REJOIN"
    STOP = "STOP"


class Refused(Exception):
    """A message of a worker was refused; the worker reads code, action and sentence, and the stream goes on unless it stops."""

    def __init__(self, code: Code, action: Action, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.action = action
        self.message = message
