"""A process whose files cannot grow, as on a full disk, writes until it is refused: `python filling_child.py FOLDER`.

Prints how many rows were acknowledged, then the refusal's reason, then how many rows a write after room was made brings.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from synapsenet.adapters.lmdb.online_store import open_online_store
from synapsenet.errors import SynapseError
from synapsenet.features.options import OnlineOptions
from synapsenet.features.ports import RowBatch
from synapsenet.testing.features import key, row

LIMIT = 4 << 20


def tell(*facts: object) -> None:
    sys.stdout.write(" ".join(map(str, facts)) + "\n")
    sys.stdout.flush()


async def main(folder: Path) -> None:
    async with open_online_store(folder, OnlineOptions()) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
        written = 0
        try:
            while True:
                keys = [key(user) for user in range(written, written + 10)]
                await store.write(RowBatch(group_id="fg-1", keys=keys, rows=[row(1.0, at=1) + b"x" * 4_000] * 10))
                written += 10
        except SynapseError as error:
            tell(written, error.reason)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await store.write(RowBatch(group_id="fg-1", keys=[key(-1)], rows=[row(2.0, at=1)]))
        tell(sum([len(piece) async for piece in store.scan("fg-1")]), await store.newest())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
