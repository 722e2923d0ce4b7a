"""Exit codes: one for each class of error, so that a script can tell them apart. `docs/cli.md` shows the same table."""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130

BY_ERROR = {
    "InvalidArgument": 3,
    "NotFound": 4,
    "AlreadyExists": 5,
    "FailedPrecondition": 6,
    "Aborted": 7,
    "OutOfRange": 8,
    "Unauthenticated": 9,
    "PermissionDenied": 10,
    "ResourceExhausted": 11,
    "DeadlineExceeded": 12,
    "Cancelled": 13,
    "Unavailable": 14,
    "DataLoss": 15,
    "Internal": 16,
    "Unimplemented": 17,
    "NotYetAvailable": 18,
}
"""By the name of the SDK's class: looking it up imports no gRPC."""


def exit_code(error: BaseException) -> int:
    """The code of an error's own class, else of the nearest class that it comes from."""
    return next((BY_ERROR[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in BY_ERROR), FAILED)
