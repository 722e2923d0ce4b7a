"""A consistent copy of the online store, taken from another process beside the one that writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from synapsenet.adapters.lmdb.environment import DATA, DATABASES
from synapsenet.errors import FailedPrecondition

_PIECE = 1 << 20
_ATTEMPTS = 5


def copy_online(folder: Path, consumer: str, write: Callable[[bytes], object]) -> int:
    """Hand the content of a file `data.mdb` to `write`, piece by piece: the store as of one instant, without free pages.

    Not from the process that has the store open: LMDB knows an environment once a process.

    Returns:
        The position in the change log that `consumer` had marked at that instant.

    Raises:
        FailedPrecondition: ONLINE_STORE_UNREADABLE.
    """
    with _opened(folder) as environment:
        places: Any = environment.open_db(b"places", create=False)
        with _snapshot(environment) as transaction:
            place = int.from_bytes(transaction.get(consumer.encode("utf-8"), b"", places), "big")
            _copy(environment, transaction, write)
    return place


def online_file(folder: Path) -> Path:
    """Where the store in `folder` has what `copy_online` copies."""
    return folder / DATA


@contextmanager
def _opened(folder: Path) -> Iterator[lmdb.Environment]:
    try:
        if not online_file(folder).exists():
            raise FileNotFoundError(f"there is no {DATA} in it")
        environment = lmdb.open(str(folder), readonly=True, create=False, max_dbs=DATABASES, readahead=False)
    except (OSError, lmdb.Error) as error:
        raise FailedPrecondition(
            "ONLINE_STORE_UNREADABLE",
            f"the online feature store in {folder} cannot be read ({error})",
            remedy="give the --data-dir of the process that serves features, on its host and as its user",
        ) from error
    try:
        yield environment
    finally:
        environment.close()


def _snapshot(environment: lmdb.Environment) -> Any:
    """A transaction that reads; the store may grow at any time, and is then to be mapped anew."""
    for _ in range(_ATTEMPTS):
        try:
            return environment.begin()
        except lmdb.MapResizedError:
            environment.set_mapsize(0)
    return environment.begin()


def _copy(environment: lmdb.Environment, transaction: Any, write: Callable[[bytes], object]) -> None:
    ours, theirs = os.pipe()

    def send() -> None:
        try:
            environment.copyfd(theirs, compact=True, txn=transaction)
        finally:
            os.close(theirs)

    with ThreadPoolExecutor(1, thread_name_prefix="online-copy") as thread:
        sending = thread.submit(send)
        try:
            while piece := os.read(ours, _PIECE):
                write(piece)
        finally:
            os.close(ours)  # whoever still sends hears of it
        sending.result()
