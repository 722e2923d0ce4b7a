"""A PostgreSQL server of our own: its folder made, its command line.

PostgreSQL refuses to run as root, or as a user id that has no name. Both start it in a user namespace, in which they have
another name and no power: they own the same files, so a data folder below /root works too. Where the kernel grants no such
namespace, root has it run as `postgres` or `nobody`, who must be able to reach the folder; if that cannot be, it is said.

Through its Unix socket, in a folder that only this user can open, it trusts whoever comes; over TCP it wants the password that
lies in the file `password` beside its data.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from urllib.parse import quote

import psycopg

from synapsenet.errors import FailedPrecondition
from synapsenet_servers.backends.backend import Backend

DATABASE = "synapsenet"
USER = "synapsenet"
_INITDB_S = 120.0
_READY_S = 2
_DEBIAN = Path("/usr/lib/postgresql")
_ELSEWHERE = ("postgres", "nobody")
_CONNECTIONS = 200
_PROCESSES = Path("/proc")
_KILLED_S = 10.0
_LOOK_EVERY_S = 0.05


def postgres(folder: Path, *, sockets: Path, port: int, host: str = "127.0.0.1") -> Backend:
    """A server on `host`:`port` whose data lies in `folder`; made ready to start, which takes seconds the first time.

    Args:
        folder: kept between runs.
        sockets: an existing private folder with a path of at most 80 bytes; the Unix socket is made in it.
        host: address that is bound; from which other machines a login is taken stands in `data/pg_hba.conf`.

    Raises:
        FailedPrecondition: PROGRAM_MISSING; POSTGRES_OTHER_RELEASE, the folder is of another major release; DATA_NOT_WRITABLE;
            USER_NAMELESS.
    """
    binaries = find_binaries()
    folder = folder.resolve()
    data = folder / "data"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    become = _user(folder, sockets)
    if not data.exists():
        _make(binaries, become, folder, data)
    _check_release(binaries, data)
    forget_killed(data)
    settings = {
        "listen_addresses": host,
        "port": port,
        "unix_socket_directories": sockets,
        "unix_socket_permissions": "0700",
        "max_connections": _CONNECTIONS,
    }
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    address = f"postgresql://{USER}@/{DATABASE}?host={quote(str(sockets), safe='')}&port={port}"
    return Backend(
        name="postgres",
        argv=[*become, str(binaries / "postgres"), "-D", str(data), *arguments],
        cwd=folder,
        address=address,
        ready=partial(_answers, address),
    )


def find_binaries() -> Path:
    """The folder of initdb and postgres: from the PATH, else the newest of Debian's.

    Raises:
        FailedPrecondition: PROGRAM_MISSING.
    """
    found = shutil.which("postgres")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    for candidate in candidates:
        if all((candidate / program).exists() for program in ("initdb", "postgres")):
            return candidate
    raise FailedPrecondition(
        "PROGRAM_MISSING", "PostgreSQL's server is not installed", remedy="install the package postgresql or correct the PATH"
    )


def _make(binaries: Path, become: Sequence[str], folder: Path, data: Path) -> None:
    """Initialize a cluster with our database; a half of one that a crash left is made anew."""
    partly, password = folder / "data.partly", folder / "password"
    shutil.rmtree(partly, ignore_errors=True)
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(32) + "\n")
    if become[:1] == ["setpriv"]:
        _give(folder, password)
    authentication = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
    place = ["--locale=C.UTF-8", "--encoding=UTF8", f"--username={USER}", "-D", str(partly)]
    _run([*become, str(binaries / "initdb"), "--no-instructions", *authentication, *place], folder)
    alone = [str(binaries / "postgres"), "--single", "-D", str(partly), "postgres"]
    _run([*become, *alone], folder, f"CREATE DATABASE {DATABASE}\n")
    partly.rename(data)


def _run(argv: Sequence[str], folder: Path, statements: str = "") -> None:
    done = subprocess.run(argv, cwd=folder, input=statements, capture_output=True, text=True, timeout=_INITDB_S, check=False)
    if done.returncode != 0 or "ERROR" in done.stderr:
        raise FailedPrecondition(
            "DATA_NOT_WRITABLE",
            f"PostgreSQL could not make its data folder in {folder}",
            remedy="check that it is writable and has room",
            secret=done.stderr,
        )


def forget_killed(data: Path) -> None:
    """Let a server start on `data` whose former one was killed, be it a moment ago.

    The processes below a server that was killed end by themselves, soon after it. The file that names it stays, and would keep
    the next one from starting as long as its process id is somebody's: of whose end nobody has taken note, or another's.
    """
    deadline = time.monotonic() + _KILLED_S
    while _is_worked_in(data):
        if time.monotonic() > deadline:
            return  # it lives: PostgreSQL will say so
        time.sleep(_LOOK_EVERY_S)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _is_worked_in(folder: Path) -> bool:
    return any(_works_in(process, folder) for process in _PROCESSES.glob("[0-9]*"))


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink() == folder
    except OSError:
        return False


def _check_release(binaries: Path, data: Path) -> None:
    stored = (data / "PG_VERSION").read_text().strip()
    said = subprocess.run(
        [str(binaries / "postgres"), "--version"], capture_output=True, text=True, timeout=_INITDB_S, check=True
    ).stdout
    installed = re.findall(r"\d+", said)[0]
    if stored != installed:
        raise FailedPrecondition(
            "POSTGRES_OTHER_RELEASE",
            f"{data} was made by PostgreSQL {stored}, installed is {installed}",
            remedy=f"install PostgreSQL {stored}, or bring the folder over with pg_upgrade",
        )


def _answers(address: str) -> bool:
    try:
        with psycopg.connect(address, connect_timeout=_READY_S):
            return True
    except psycopg.Error:
        return False


def _user(folder: Path, sockets: Path) -> Sequence[str]:
    """The command that runs another one as somebody who has a name and is not root; nothing for those who are."""
    is_root = os.geteuid() == 0
    if not is_root and _has_name(os.geteuid()):
        return []
    name = next(name for name in _ELSEWHERE if _exists(name))
    somebody = pwd.getpwnam(name)
    if _namespaces():
        return ["unshare", "--user", f"--map-user={somebody.pw_uid}", f"--map-group={somebody.pw_gid}"]
    if not is_root:
        raise FailedPrecondition(
            "USER_NAMELESS",
            f"PostgreSQL does not run as a user without a name, and the user id {os.geteuid()} has none on this machine",
            remedy="add a line for that user id to /etc/passwd, or start as a user who has one",
        )
    become = ["setpriv", f"--reuid={name}", f"--regid={somebody.pw_gid}", "--init-groups"]
    _give(folder, sockets)
    if subprocess.run([*become, "test", "-x", str(folder)], check=False, timeout=_READY_S).returncode != 0:
        raise FailedPrecondition(
            "DATA_NOT_WRITABLE",
            f"PostgreSQL does not run as root, and {name} cannot reach {folder}",
            remedy=f"choose a data folder that {name} can reach, or start as an ordinary user",
        )
    return [*become, "--pdeathsig", "KILL"]  # a change of user clears the signal that our launcher asked for


@cache
def _namespaces() -> bool:
    """Whether the kernel lets us have a user namespace."""
    program = shutil.which("unshare")
    attempt = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "true"]
    return program is not None and subprocess.run(attempt, capture_output=True, check=False, timeout=_READY_S).returncode == 0


def _has_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _give(*paths: Path) -> None:
    somebody = pwd.getpwnam(next(name for name in _ELSEWHERE if _exists(name)))
    for path in paths:
        os.chown(path, somebody.pw_uid, somebody.pw_gid)
