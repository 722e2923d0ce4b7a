"""What an operator can set about PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresOptions:
    """Where the platform's database is, and how much of it a process takes.

    A process holds, for each of its areas, `readers` connections and two more, and one for what it hears of others' commits.

    Attributes:
        url: the database, as a libpq URL: hosts, ports, user, `sslmode`, `sslrootcert`; without a password.
        password_file: file with the password alone; read at each connection, so that a new one needs no restart.
        readers: connections that read, an area and process.
        wait_s: seconds that a caller waits for its turn to write or for a free connection to read.
        connect_s: seconds to wait for a connection; at least 2.
        silence_s: seconds without a sign of life from the other machine, however busy, after which either side takes a
            connection for broken; at least 2. Keep it below `wait_s`: a machine that is cut off may have had its turn to write.
        statement_s: seconds after which the server ends a statement.
        idle_s: seconds that may pass between two statements of whoever has its turn to write; then the server takes the turn
            back, as from a process that hangs. No longer than `lifecycle.lease_s` holds, whatever is set.
        transaction_s: seconds after which a transaction is given up and its connection cut, whatever the server does.
        outcome_s: seconds to go on asking what became of a commit whose connection broke.
    """

    url: str = "postgresql://synapsenet@127.0.0.1:5432/synapsenet"
    password_file: str = ""
    readers: int = 3
    wait_s: float = 5.0
    connect_s: float = 5.0
    silence_s: float = 4.0
    statement_s: float = 20.0
    idle_s: float = 4.0
    transaction_s: float = 30.0
    outcome_s: float = 10.0
