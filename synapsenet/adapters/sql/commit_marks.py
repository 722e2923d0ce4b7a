"""What tells afterwards whether a commit was carried out whose answer was lost: a number that is written with it.

Each writer has one row, and its transactions count it up. Whoever looks at the row waits for a transaction that has it still,
so what they see is the outcome. (The transaction's id cannot serve: after a crash a server gives ids again that it gave before,
so that `pg_xact_status` may speak of another transaction.)
"""

from __future__ import annotations

import secrets
from typing import Any

import psycopg

from synapsenet.adapters.sql.lock_keys import lock_key

_EXISTS = "SELECT to_regclass('synapsenet.commits') IS NOT NULL"
_MAKE = f"""
    BEGIN;
    SELECT pg_advisory_xact_lock({lock_key("commits", "")});
    CREATE SCHEMA IF NOT EXISTS synapsenet;
    CREATE TABLE IF NOT EXISTS synapsenet.commits (writer text PRIMARY KEY, mark bigint NOT NULL, at timestamptz NOT NULL)
        WITH (fillfactor = 50);
    COMMIT
"""
_FORGET = """
    DELETE FROM synapsenet.commits WHERE writer IN
        (SELECT writer FROM synapsenet.commits WHERE at < now() - interval '7 days' FOR UPDATE SKIP LOCKED)
"""
_LOOK = """
    INSERT INTO synapsenet.commits VALUES (%s, -1, now())
        ON CONFLICT (writer) DO UPDATE SET at = now() RETURNING mark
"""


class CommitMarks:
    """The marks of one writer, whose transactions follow one another.

    Args:
        area: whose records it writes.
        role: tells its writers apart.
    """

    def __init__(self, area: str, role: str) -> None:
        self._writer = f"{area}/{role}/{secrets.token_hex(8)}"
        self._mark = 0
        self._stands = False

    def put(self, driver: psycopg.Connection[Any]) -> str:
        """The statement with which the next transaction, on `driver`, leaves its mark; where it does so is made if missing."""
        if not self._stands:
            row = driver.execute(_EXISTS).fetchone()
            if row is None or not row[0]:
                driver.execute(_MAKE)
            driver.execute(_FORGET)
            self._stands = True
        self._mark += 1
        return (
            f"INSERT INTO synapsenet.commits VALUES ('{self._writer}', {self._mark}, now())"  # noqa: S608 - both are ours
            " ON CONFLICT (writer) DO UPDATE SET mark = excluded.mark, at = excluded.at"
        )

    def make_again(self) -> None:
        """Look anew, at the next transaction, whether there is where to put marks."""
        self._stands = False

    def is_committed(self, probe: psycopg.Connection[Any]) -> bool:
        """Whether the last transaction was committed; waits until it is either that or over.

        Raises:
            psycopg.Error: nobody can tell for now.
        """
        row = probe.execute(_LOOK, [self._writer]).fetchone()
        return row is not None and row[0] == self._mark
