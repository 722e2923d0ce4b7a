"""What a database driver's error means for the platform."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from synapsenet.errors import (
    DataLoss,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    SynapseError,
    Unavailable,
)


def translated(error: DBAPIError, database: str) -> SynapseError:
    """The platform's error for `error`, with `database` named and the statement kept secret."""
    text = str(error.orig).lower()
    if "not a database" in text or "malformed" in text:
        return DataLoss(
            "DATABASE_CORRUPT",
            f"{database} is damaged or no database",
            remedy="restore it from a backup, or move it away to start empty",
            secret=str(error),
        )
    # What SQLite does not know as a full disk, a quota or a limit of file sizes, it tells as a write that failed.
    if ("full" in text and "disk" in text) or getattr(error.orig, "sqlite_errorname", "") == "SQLITE_IOERR_WRITE":
        return ResourceExhausted(
            "STORAGE_FULL",
            f"the disk that holds {database} is full",
            remedy="free space and retry; nothing already stored is lost",
            secret=str(error),
        )
    if "readonly" in text or "unable to open" in text:
        return FailedPrecondition(
            "DATA_NOT_WRITABLE",
            f"{database} cannot be opened for writing",
            remedy="check the permissions of the data folder",
            secret=str(error),
        )
    if "locked" in text or "disk i/o" in text:
        return Unavailable("DATABASE_UNAVAILABLE", f"{database} does not answer", remedy="retry", secret=str(error))
    return Internal("DATABASE_ERROR", f"{database} refused a statement", secret=str(error))


def not_storable(secret: str = "") -> InvalidArgument:
    """What a value is refused with that one of the databases cannot keep: then neither takes it."""
    return InvalidArgument(
        "VALUE_NOT_STORABLE",
        "a value cannot be stored",
        remedy="leave out NUL characters, and keep numbers within 64 bits",
        secret=secret,
    )
