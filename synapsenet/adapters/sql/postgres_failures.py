"""What PostgreSQL's refusals mean for the platform."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import DBAPIError

from synapsenet.adapters.sql.failures import not_storable
from synapsenet.errors import (
    Aborted,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    ResourceExhausted,
    SynapseError,
    Unavailable,
)

Failure = psycopg.Error | DBAPIError


def translated_postgres(error: Failure, database: str) -> SynapseError:
    """The platform's error for `error`, with `database` named; statements and credentials go to the log alone."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = (cause.sqlstate or "") if isinstance(cause, psycopg.Error) else ""
    if isinstance(cause, psycopg.DataError):
        state = state or "22000"  # what the driver itself would not send has no code
    said = str(cause).lower()
    found = (
        (None if state else _unreachable(said, database, str(error)))
        or _full(state, said, database, str(error))
        or _refused(state, database, str(error))
        or _given_up(state, database, str(error))
    )
    return found or Internal("DATABASE_ERROR", f"the database of {database} refused a statement", secret=str(error))


def is_away(error: Failure) -> bool:
    """Whether the connection is gone, so that another attempt on a new one makes sense."""
    if isinstance(error, DBAPIError):
        return bool(error.connection_invalidated)
    return isinstance(error, psycopg.OperationalError) and (
        error.sqlstate is None or (error.sqlstate[:2] in ("08", "57") and error.sqlstate != "57014")
    )


def away(database: str, secret: str = "") -> Unavailable:
    """The database does not answer and nothing was stored."""
    return Unavailable(
        "DATABASE_UNAVAILABLE",
        f"the database of {database} does not answer",
        remedy="retry; nothing already stored is lost",
        retry_after=1.0,
        secret=secret,
    )


def busy(database: str, why: str) -> ResourceExhausted:
    """There was no turn or no connection in time."""
    return ResourceExhausted("DATABASE_BUSY", f"{why} for the database of {database}", remedy="retry later", retry_after=0.5)


def _unreachable(said: str, database: str, secret: str) -> SynapseError | None:
    """What a connection attempt, which has no codes, was told; or a connection that broke."""
    if "password" in said or "authentication" in said or "pg_hba" in said:
        return FailedPrecondition(
            "DATABASE_LOGIN_REFUSED",
            "PostgreSQL refused the login",
            remedy="check the user in postgres.url and the password in postgres.password_file",
            secret=secret,
        )
    if "does not exist" in said and ("database" in said or "role" in said):
        return FailedPrecondition(
            "DATABASE_UNKNOWN",
            "PostgreSQL has no such database or user",
            remedy="create what postgres.url names, or correct it",
            secret=secret,
        )
    if "too many clients" in said or "remaining connection slots" in said or "too many connections" in said:
        return ResourceExhausted(
            "DATABASE_CONNECTIONS_EXHAUSTED",
            "PostgreSQL takes no more connections",
            remedy="raise its max_connections, or lower postgres.readers",
            retry_after=1.0,
            secret=secret,
        )
    return away(database, secret)


def _full(state: str, said: str, database: str, secret: str) -> SynapseError | None:
    if state == "53100" or any(words in said for words in ("no space left", "file too large", "quota exceeded")):
        return ResourceExhausted(
            "STORAGE_FULL",
            f"the disk that holds the database of {database} is full",
            remedy="free space and retry; nothing already stored is lost",
            secret=secret,
        )
    if state == "53300":
        return _unreachable("too many clients", database, secret)
    if state.startswith("53"):
        return ResourceExhausted(
            "DATABASE_BUSY", f"the database of {database} lacks memory", remedy="retry later", retry_after=1.0, secret=secret
        )
    return None


def _refused(state: str, database: str, secret: str) -> SynapseError | None:
    if state.startswith("22"):
        return not_storable(secret)
    if state in ("42501", "25006"):
        return FailedPrecondition(
            "DATA_NOT_WRITABLE",
            f"the database of {database} may not be written",
            remedy="grant the user of postgres.url its schema, and name the primary, not a standby",
            secret=secret,
        )
    if state in ("XX001", "XX002"):
        return DataLoss(
            "DATABASE_CORRUPT", f"the database of {database} is damaged", remedy="restore it from a backup", secret=secret
        )
    return None


def _given_up(state: str, database: str, secret: str) -> SynapseError | None:
    """What may come out otherwise next time."""
    if state == "57014":
        return DeadlineExceeded(
            "DATABASE_SLOW",
            f"the database of {database} did not carry out a statement in time",
            remedy="ask for less at once, or raise postgres.statement_s",
            secret=secret,
        )
    if state == "55P03":
        return busy(database, "others are still writing: no turn came in time")
    if state in ("40001", "40P01"):
        return Aborted("DATABASE_CONFLICT", f"another writer of {database} won", remedy="read again and retry", secret=secret)
    if state[:2] in ("08", "57", "58") or state == "25P03":
        return away(database, secret)
    return None
