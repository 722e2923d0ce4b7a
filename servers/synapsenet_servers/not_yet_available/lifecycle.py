"""What the contracts of sagas promise and this release does not do yet: nothing."""

from __future__ import annotations

from synapsenet_servers.not_yet_available.row import Row

ROWS: tuple[Row, ...] = ()
