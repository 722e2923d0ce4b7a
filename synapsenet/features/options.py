"""The bounds of the feature store, each with its unit."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineOptions:
    """The online store.

    Attributes:
        map_bytes: size of the LMDB map at first; it doubles when full.
        map_limit_bytes: size beyond which the map does not grow; a write that needs more is refused.
        rows_per_commit: rows after which a group commit takes no further batch.
        pending_batches: batches that may wait for their commit; further writers wait before they are queued.
        inline_keys: reads of up to this many keys stay on the event loop (a key takes about 1 µs), larger ones leave it.
        scan_rows: rows in one snapshot of a scan.
    """

    map_bytes: int = 64 << 20
    map_limit_bytes: int = 1 << 40
    rows_per_commit: int = 10_000
    pending_batches: int = 256
    inline_keys: int = 256
    scan_rows: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesOptions:
    """The feature store.

    Attributes:
        rows_per_batch: rows that one write may carry.
        entities_per_read: entities that one online read may ask for.
        inline_rows: writes and reads of up to this many rows are packed or unpacked on the event loop, larger ones on a thread.
        values_per_read: values, entities × features, that one online read may ask for.
        spine_rows: rows that a training set may have.
        future_skew_s: seconds that an event time may lie ahead of our clock where the group's SLA does not say.
        mirror_interval_s: seconds at most until a write is in the history without anybody asking for it.
        mirror_rows: changes that one step of the mirror moves; a file of the history has at most so many rows.
        training_set_bytes: largest training set.
        join_memory_mb: memory that a point-in-time join may take before it spills to disk, in MiB.
    """

    rows_per_batch: int = 50_000
    inline_rows: int = 500
    entities_per_read: int = 10_000
    values_per_read: int = 1_000_000
    spine_rows: int = 1_000_000
    future_skew_s: float = 60.0
    mirror_interval_s: float = 2.0
    mirror_rows: int = 20_000
    training_set_bytes: int = 4 << 30
    join_memory_mb: int = 512
    online: OnlineOptions = field(default_factory=OnlineOptions)
