"""Which examples a worker sees, in which order.

Worker i of n owns the rows i, i + n, i + 2n, … of the data. It passes over them epoch after epoch; the order of each epoch
sorts its rows by PCG64's raw numbers, seeded with (seed, worker, epoch): the same for ever, on every machine. A batch that
reaches the end of an epoch goes on with the next one, so all batches have the same size.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import FailedPrecondition

Rows = NDArray[np.int64]


def share(rows: int, *, worker: int, workers: int) -> Rows:
    """The rows that `worker` owns out of `rows`.

    Raises:
        FailedPrecondition: DATA_TOO_SMALL, there is nothing for this worker.
    """
    owned = np.arange(worker, rows, workers, dtype=np.int64)
    if not len(owned):
        raise FailedPrecondition(
            "DATA_TOO_SMALL", f"{rows} examples are too few for {workers} workers", remedy="take fewer workers or more data"
        )
    return owned


def batches(examples: int, *, size: int, seed: int, worker: int) -> Iterator[Rows]:
    """Batches of `size` positions below `examples`, without end."""
    epoch = 0
    rest = np.empty(0, np.int64)
    while True:
        parts = [rest]
        have = len(rest)
        while have < size:
            parts.append(_order(examples, seed=seed, worker=worker, epoch=epoch))
            have += examples
            epoch += 1
        drawn = np.concatenate(parts)
        yield drawn[:size]
        rest = drawn[size:]


def _order(examples: int, *, seed: int, worker: int, epoch: int) -> Rows:
    raw = np.random.PCG64(np.random.SeedSequence([seed, worker, epoch])).random_raw(examples)
    return np.argsort(raw, kind="stable")
