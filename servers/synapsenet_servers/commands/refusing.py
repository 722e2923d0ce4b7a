"""The end of a command that the platform refused: one sentence, no stack trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from synapsenet.errors import SynapseError

REFUSED = 1


@contextmanager
def refusing() -> Iterator[None]:
    """Tell an error of the platform on stderr and exit with status 1."""
    try:
        yield
    except SynapseError as error:
        typer.echo(f"error: {error.public} [{error.reason}]", err=True)
        raise typer.Exit(REFUSED) from None
