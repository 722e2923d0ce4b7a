"""Scikit-learn's handwritten digits as a stream of events: 1,797 images of 8 × 8 pixels, 0 to 16, with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from synapsenet_client import FeatureRows

GROUP = "digits"
ENTITY_KEYS = {"image_id": "STRING"}
FEATURES = {"pixels": "FLOAT[64]", "label": "INT64"}
REFERENCES = (f"{GROUP}:pixels", f"{GROUP}:label")

_BATCH = 100
_HELD_OUT = 0.2
_SPLIT_SEED = 20
_SCAN_INTERVAL = timedelta(milliseconds=10)


@dataclass(frozen=True, slots=True)
class Images:
    """Some of the images.

    Attributes:
        ids: entity keys, shape (n,).
        pixels: float32, shape (n, 64), 0 to 16.
        labels: int64, shape (n,), 0 to 9.
    """

    ids: Sequence[str]
    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> Images:
        return Images([self.ids[row] for row in rows], self.pixels[rows], self.labels[rows])


def images() -> Images:
    """All 1,797."""
    digits = load_digits()
    ids = [f"image-{number:04}" for number in range(len(digits.target))]
    return Images(ids, digits.data.astype(np.float32), digits.target.astype(np.int64))


def split(everything: Images) -> tuple[Images, Images]:
    """(train, held out): a fixed random fifth is never trained on."""
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(everything.ids))
    held_out = round(len(order) * _HELD_OUT)
    return everything.take(np.sort(order[held_out:])), everything.take(np.sort(order[:held_out]))


def events(everything: Images, *, until: datetime) -> Iterator[FeatureRows]:
    """Batches in which one image was scanned every 10 ms, the last of all at `until`."""
    first = until - _SCAN_INTERVAL * (len(everything.ids) - 1)
    for start in range(0, len(everything.ids), _BATCH):
        rows = slice(start, start + _BATCH)
        ids = list(everything.ids[rows])
        yield FeatureRows(
            group=GROUP,
            columns={"image_id": ids, "pixels": everything.pixels[rows], "label": everything.labels[rows]},
            event_times=[first + _SCAN_INTERVAL * (start + offset) for offset in range(len(ids))],
        )
