"""A process that writes and mirrors until it is killed: `python writing_child.py FOLDER`, a line for each acknowledged row."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from synapsenet.adapters.lmdb.online_store import open_online_store
from synapsenet.adapters.parquet.history import open_history
from synapsenet.clock import SystemClock
from synapsenet.features.catalogue import Catalogue
from synapsenet.features.mirror import Mirror
from synapsenet.features.options import OnlineOptions
from synapsenet.testing.features import batch, row, sample_group

WRITERS = 4
ENTITIES = 50


def tell(*facts: object) -> None:
    sys.stdout.write(" ".join(map(str, facts)) + "\n")
    sys.stdout.flush()


async def main(folder: Path) -> None:
    catalogue = Catalogue()
    catalogue.put(sample_group())
    online = OnlineOptions(map_bytes=1 << 20)
    async with (
        open_online_store(folder / "online", online) as store,
        open_history(folder / "history", join_memory_mb=64) as history,
    ):
        mirror = Mirror(store=store, history=history, catalogue=catalogue, clock=SystemClock(), interval=0.0, rows=20)

        async def write(writer: int) -> None:
            for at in range(writer, sys.maxsize, WRITERS):
                await store.write(batch((at % ENTITIES, row(float(at), at=at))))
                tell(at)

        await asyncio.gather(mirror.run(), *(write(writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
